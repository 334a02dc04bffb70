// A peer in a process of its own, which stays and answers each request with the seconds it measured.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';

export interface Ready {
  readonly version: string;
  /** Peak resident bytes after loading and one forward. */
  readonly peakBytes: number;
  /** Logits of the top-left heatmap at fixed places. */
  readonly sample: number[];
}

export class PeerProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string, undefined>;
  #said = '';

  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#lines = createInterface(this.#child.stdout);
    this.#answers = this.#lines[Symbol.asyncIterator]();
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#said = (this.#said + chunk.toString()).slice(-4000)));
    this.#child.stdin.on('error', () => undefined); // a peer that died shows itself by giving no answer
    this.#child.on('error', (error) => {
      this.#said += error.message;
      this.#lines.close();
    });
  }

  /** The next line of JSON; others, such as a library's notices, are passed over. */
  async #next<T>(): Promise<T> {
    for (;;) {
      const answer = await this.#answers.next();
      if (answer.done === true) throw new Error(this.#said.trim().split('\n').at(-1) || 'it ended without a word');
      if (answer.value.startsWith('{')) return JSON.parse(answer.value) as T;
    }
  }

  ready(): Promise<Ready> {
    return this.#next<Ready>();
  }

  /** `networkSeconds` is ours alone: the network's share. */
  measure(request = 'run'): Promise<{ seconds: number; networkSeconds?: number }> {
    this.#child.stdin.write(`${request}\n`);
    return this.#next();
  }

  close(): void {
    this.#child.stdin.end();
    this.#child.kill();
  }
}
