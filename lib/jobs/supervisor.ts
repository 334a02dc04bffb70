// A detector in a process of its own, started again whenever it dies, and the picture found that it dies of.
import { fork, type ChildProcess } from 'node:child_process';
import { extname, join } from 'node:path';

import { CornerNetError, type CornerNetErrorCode } from '../errors.js';
import type { Entry } from '../inputs/entry.js';
import type { LoadOptions } from '../options/interfaces.js';
import type { ChildInfo, FromChild, ToChild } from './child.js';
import { failedOutcome, type PictureOutcome } from './outcome.js';

/** Where a job's pictures are computed. */
export interface Engine {
  /** Pictures that it should have at once to be busy. */
  readonly window: number;
  /** Names by class id, once they are known. */
  readonly classes: readonly string[] | undefined;
  /** What comes of a picture; rejects only when the engine itself can't go on. */
  submit(entry: Entry): Promise<PictureOutcome>;
  /** Ends it; what was submitted rejects. */
  close(): Promise<void>;
}

/** Deaths of a process's own fault, handling one picture alone, after which that picture is given up. */
const deathsOfPoison = 2;
/** Deaths before it is ready, of its own fault and one after the other, after which it is given up. */
const deathsAtStart = 3;
const longestPauseMs = 5_000;

/** What a process does to itself; every other signal comes from outside. */
const ownSignals: readonly (NodeJS.Signals | null)[] = ['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGABRT', 'SIGTRAP', 'SIGSYS'];

interface Submission {
  readonly id: number;
  readonly entry: Entry;
  readonly settle: (outcome: PictureOutcome) => void;
  readonly fail: (error: CornerNetError) => void;
  deaths: number;
  suspect: boolean;
}

export class SupervisedDetector implements Engine {
  readonly #weights: string | undefined;
  readonly #options: LoadOptions;
  readonly #say: (text: string) => void;
  readonly #tasks = new Map<number, Submission>();
  readonly #sent = new Set<Submission>();
  #child: ChildProcess | undefined;
  #info: ChildInfo | undefined;
  #nextId = 1;
  #ready = false;
  #startDeaths = 0;
  #pauseMs = 0;
  #restart: NodeJS.Timeout | undefined;
  #failure: CornerNetError | undefined;
  #started: { resolve: () => void; reject: (error: CornerNetError) => void } | undefined;

  private constructor(weights: string | undefined, options: LoadOptions, say: (text: string) => void) {
    this.#weights = weights;
    this.#options = options;
    this.#say = say;
  }

  /**
   * @param say is told of deaths.
   * @throws {CornerNetError} as `Detector.load`; `ERR_CRASHED` when the process dies whenever it starts.
   */
  static async start(weights: string | undefined, options: LoadOptions, say: (text: string) => void): Promise<SupervisedDetector> {
    const detector = new SupervisedDetector(weights, options, say);
    await new Promise<void>((resolve, reject) => {
      detector.#started = { resolve, reject };
      detector.#spawn();
    });
    return detector;
  }

  get info(): ChildInfo {
    return this.#info as ChildInfo; // start() has waited for it
  }

  get classes(): readonly string[] {
    return this.info.classes;
  }

  get window(): number {
    return this.info.window;
  }

  submit(entry: Entry): Promise<PictureOutcome> {
    return new Promise((settle, fail) => {
      if (this.#failure) {
        fail(this.#failure);
        return;
      }
      const task: Submission = { id: this.#nextId++, entry, settle, fail, deaths: 0, suspect: false };
      this.#tasks.set(task.id, task);
      this.#feed();
    });
  }

  async close(): Promise<void> {
    this.#giveUp(new CornerNetError('ERR_CLOSED', 'the batch was ended'));
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    if (child.connected)
      child.disconnect(); // it exits at that, at the latest after the forward that runs
    else child.kill('SIGKILL');
    await ended;
  }

  #spawn(): void {
    // Standard output may be the job's own: a line for people from a library in there must not get into it.
    const child = fork(join(__dirname, `child${extname(__filename)}`), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child = child;
    this.#ready = false;
    child.on('message', (message: FromChild) => {
      if (message.type === 'ready') {
        this.#ready = true;
        this.#startDeaths = 0;
        this.#info = message;
        this.#started?.resolve();
        this.#started = undefined;
        this.#feed();
      } else if (message.type === 'failed') {
        if (!this.#ready) this.#giveUp(new CornerNetError(message.code as CornerNetErrorCode, message.message));
      } else if (message.type === 'warning') {
        this.#say(message.text);
      } else {
        this.#pauseMs = 0;
        this.#settle(message.id, message.outcome);
      }
    });
    child.on('error', (error) =>
      this.#giveUp(new CornerNetError('ERR_INTERNAL', `the detector's process can't be started: ${error.message}`)),
    );
    // Its last messages may come after its exit; they are in once the channel is closed too.
    const disconnected = new Promise((resolve) => child.once('disconnect', resolve));
    child.on('exit', (code, signal) => {
      void disconnected.then(() => {
        this.#child = undefined;
        if (!this.#failure) this.#died(code, signal);
      });
    });
    this.#send({ type: 'load', weights: this.#weights, options: this.#options });
  }

  #send(message: ToChild): void {
    this.#child?.send(message, () => undefined); // what can't be sent to a dying process is sent to the next one
  }

  /** Sends everything that waits; suspects one at a time, alone, before all others. */
  #feed(): void {
    if (!this.#ready) return;
    const suspect = [...this.#tasks.values()].find((task) => task.suspect);
    if (suspect) {
      if (this.#sent.size === 0) this.#sendTask(suspect);
      return;
    }
    for (const task of this.#tasks.values()) if (!this.#sent.has(task)) this.#sendTask(task);
  }

  #sendTask(task: Submission): void {
    this.#sent.add(task);
    this.#send({ type: 'detect', id: task.id, entry: task.entry });
  }

  #settle(id: number, outcome: PictureOutcome): void {
    const task = this.#tasks.get(id);
    if (!task) return;
    this.#tasks.delete(id);
    this.#sent.delete(task);
    task.settle(outcome);
    if (task.suspect) this.#feed();
  }

  #died(code: number | null, signal: NodeJS.Signals | null): void {
    const how = signal === null ? `exit code ${code}` : signal;
    const ownFault = signal === null || ownSignals.includes(signal);
    const inHand = [...this.#sent];
    this.#sent.clear();
    const wasReady = this.#ready;
    this.#ready = false;
    if (ownFault && !wasReady && ++this.#startDeaths === deathsAtStart) {
      this.#giveUp(new CornerNetError('ERR_CRASHED', `the detector's process dies whenever it starts (${how})`));
      return;
    }
    this.#say(`the detector's process died (${how}) with ${inHand.length} pictures in hand, and is started again`);
    if (ownFault) this.#blame(inHand, how);
    this.#restart = setTimeout(() => this.#spawn(), this.#pauseMs);
    this.#pauseMs = Math.min(longestPauseMs, Math.max(100, 2 * this.#pauseMs));
  }

  #blame(inHand: readonly Submission[], how: string): void {
    for (const task of inHand) task.suspect = true;
    const [alone] = inHand;
    if (!alone || inHand.length > 1 || ++alone.deaths < deathsOfPoison) return;
    const sentence = `the detector's process died of it ${deathsOfPoison} times (${how})`;
    this.#settle(alone.id, failedOutcome(alone.entry, new CornerNetError('ERR_CRASHED', sentence)));
  }

  #giveUp(failure: CornerNetError): void {
    this.#failure ??= failure;
    this.#started?.reject(this.#failure);
    this.#started = undefined;
    for (const task of this.#tasks.values()) task.fail(this.#failure);
    this.#tasks.clear();
    this.#sent.clear();
  }
}
