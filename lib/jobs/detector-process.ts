// One process that runs the addon for a job: its messages, its end and what it died of.
import { fork, type ChildProcess } from 'node:child_process';
import { extname, join } from 'node:path';

import { sentenceOf } from '../errors.js';
import { readOrNothing } from '../proc.js';
import type { FromChild, ToChild } from './child.js';

export interface Death {
  /** A signal, an exit code, or what it said last. */
  readonly how: string;
  readonly code: 'ERR_CRASHED' | 'ERR_OUT_OF_MEMORY';
}

/** What is killed and does not end hangs in the kernel, which nothing can help: it is left behind. */
const longestDyingMs = 5_000;

/** How many processes of this machine the kernel has killed for want of memory; undefined where it doesn't say. */
function memoryKills(): string | undefined {
  return /^oom_kill (\d+)$/m.exec(readOrNothing('/proc/vmstat'))?.[1];
}

export class DetectorProcess {
  #child: ChildProcess | undefined;
  readonly #memoryKills = memoryKills();
  /** Resolves when it is dead, or left behind. */
  readonly ended: Promise<Death>;
  #end: (how: string, code?: Death['code']) => void = () => undefined;
  #lastWords: string | undefined;

  constructor(onMessage: (message: FromChild) => void) {
    this.ended = new Promise((resolve) => (this.#end = (how, code = 'ERR_CRASHED') => resolve({ how, code })));
    const refused = (error: unknown): void => {
      onMessage({ type: 'failed', code: 'ERR_INTERNAL', message: `the detector's process can't be started: ${sentenceOf(error)}` });
      this.#end(sentenceOf(error));
    };
    try {
      // Standard output may be the job's own: a line for people from a library in there must not get into it.
      this.#child = fork(join(__dirname, `child${extname(__filename)}`), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    } catch (error) {
      process.nextTick(refused, error); // as `error` comes, not before who made this has it
      return;
    }
    const child = this.#child;
    let open = true;
    void this.ended.then(() => (open = false));
    child.on('message', (message: FromChild) => {
      if (message.type === 'failed') this.#lastWords = `${message.code}: ${message.message}`;
      if (open) onMessage(message);
    });
    child.on('error', refused);
    // Its last messages may come after its exit; they are in once the channel is closed too.
    const disconnected = new Promise((resolve) => child.once('disconnect', resolve));
    child.on('exit', (code, signal) => void disconnected.then(() => this.#died(code, signal)));
  }

  get processId(): number | undefined {
    return this.#child?.pid;
  }

  /** What can't be sent to a dying process is the caller's to send to the next one. */
  send(message: ToChild): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined); // one that was refused has no channel
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    const timer = setTimeout(() => {
      if (this.#child?.connected === true) this.#child.disconnect();
      this.#child?.unref();
      this.#end('it is killed and does not end');
    }, longestDyingMs);
    await this.ended;
    clearTimeout(timer);
  }

  #died(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#lastWords !== undefined) this.#end(this.#lastWords);
    else if (signal === 'SIGKILL' && memoryKills() !== this.#memoryKills) {
      this.#end("SIGKILL: the system's memory ran out", 'ERR_OUT_OF_MEMORY');
    } else this.#end(signal ?? `exit code ${code}`);
  }
}
