// A candidate in a process of its own: it says a line of JSON when it is ready, and then answers each line with what it measured.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { forgetPeak } from '../lib/bench/machine.js';
import { packagePath } from '../lib/package.js';
import { memoryOf } from '../lib/proc.js';
import type { Candidate, Turn } from './harness.js';

interface Ready {
  readonly version?: string;
  /** Logits of the top-left heatmap at fixed places, of detectors. */
  readonly sample?: readonly number[];
}

let compiled: Promise<string> | undefined;

/** ours.ts as JavaScript, as the package is: a process that compiles for itself has the compiler's memory too. */
function compileOurs(): Promise<string> {
  return (compiled ??= (async () => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- plain CommonJS, with its library
    const { bundle } = require('../scripts/bundle.js') as { bundle: (input: string, output: { file: string }) => Promise<unknown> };
    const file = packagePath('output', 'ours.js');
    await bundle(join(__dirname, 'ours.ts'), { file });
    return file;
  })());
}

type Work = 'detect' | 'evaluate' | 'list' | 'load' | 'train';

export class Child {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string, undefined>;
  readonly #closed: Promise<unknown>;
  #said = '';

  /** @param settings as an object, for one of the functions in ours.ts, or with `python` in theirs.py. */
  static async start(work: Work, settings: object, python?: string): Promise<Child> {
    const args = python === undefined ? [await compileOurs()] : ['-W', 'ignore', join(__dirname, 'theirs.py')];
    return new Child(python ?? process.execPath, [...args, work, JSON.stringify(settings)]);
  }

  private constructor(program: string, args: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close').catch((error: unknown) => (this.#said += (error as Error).message));
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#said = (this.#said + chunk.toString()).slice(-4000)));
    this.#child.stdin.on('error', () => undefined); // one that died shows itself by giving no answer
  }

  /** The next line of JSON; others, such as a library's notices, are passed over. */
  async #next<T>(): Promise<T> {
    for (;;) {
      const answer = await this.#answers.next();
      if (answer.done !== true && answer.value.startsWith('{')) return JSON.parse(answer.value) as T;
      if (answer.done === true) {
        await this.#closed;
        throw new Error(this.#said.trim().split('\n').at(-1) || 'it ended without a word');
      }
    }
  }

  ready(): Promise<Ready> {
    return this.#next();
  }

  turn(request = 'run'): Promise<Turn> {
    this.#child.stdin.write(`${request}\n`);
    return this.#next();
  }

  get pid(): number {
    return this.#child.pid ?? NaN;
  }

  /** Once it is gone, its CPU time counts as this process's. */
  async close(): Promise<void> {
    this.#child.kill();
    await this.#closed;
  }
}

/** A new process each turn. Peak memory is what comes on top of what it has when it is ready. */
export function newEachTurn(...child: Parameters<typeof Child.start>): Candidate {
  const candidate: Candidate = {
    turn: async () => {
      const process = await Child.start(...child);
      try {
        candidate.version = (await process.ready()).version;
        forgetPeak(process.pid);
        const before = memoryOf(process.pid, 'VmHWM');
        return { ...(await process.turn()), peakBytes: memoryOf(process.pid, 'VmHWM') - before };
      } finally {
        await process.close();
      }
    },
  };
  return candidate;
}
