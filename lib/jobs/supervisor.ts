// A detector in a process of its own, started again whenever it dies, and the picture found that it dies of.
import { abortable } from '../abort.js';
import { CornerNetError, type CornerNetErrorCode } from '../errors.js';
import { poolSize } from '../images/deadline.js';
import type { Entry } from '../inputs/entry.js';
import type { LoadOptions } from '../options/interfaces.js';
import type { ChildInfo, FromChild } from './child.js';
import { DetectorProcess, type Death } from './detector-process.js';
import type { Listed } from './listed.js';
import { failedOutcome, type PictureOutcome } from './outcome.js';
import type { PinnedWeights } from './pinned.js';

/** How the process with the detector is. */
export interface EngineHealth {
  /** Whether it takes pictures. */
  readonly ready: boolean;
  readonly processId: number | undefined;
  readonly devices: readonly { readonly device: string; readonly inService: boolean }[];
}

/** Where a job's pictures are computed. */
export interface Engine {
  /** Pictures that it should have at once to be busy. */
  readonly window: number;
  /** Names by class id, once they are known. */
  readonly classes: readonly string[] | undefined;
  /** How the process with the detector is, where it is this machine's. */
  readonly health?: EngineHealth;
  /** Chunks by their state, where there is a queue. */
  chunks?(): Promise<Readonly<Record<string, number>>>;
  /** Whether `submit` holds a picture against what it was listed as. */
  readonly looks?: boolean;
  /** What comes of a picture; rejects only when the engine itself can't go on. */
  submit(entry: Entry, listed?: Listed): Promise<PictureOutcome>;
  /** Ends it; what was submitted rejects. */
  close(): Promise<void>;
}

/** Deaths of the process with one picture alone in hand, after which that picture is given up. */
const deathsOfPoison = 2;
/** Deaths before it is ready, one after the other, after which the process is given up. */
const deathsAtStart = 3;
const longestPauseMs = 5_000;

interface Submission {
  readonly id: number;
  readonly entry: Entry;
  readonly listed: Listed | undefined;
  readonly settle: (outcome: PictureOutcome) => void;
  readonly fail: (error: CornerNetError) => void;
  deaths: number;
  /** How many may be in hand with it, itself included. */
  company: number;
}

export class SupervisedDetector implements Engine {
  readonly looks = true;
  readonly #tasks = new Map<number, Submission>();
  readonly #sent = new Set<Submission>();
  #process: DetectorProcess | undefined;
  #info: ChildInfo | undefined;
  #failedDevices: readonly string[] = [];
  #nextId = 1;
  #ready = false;
  #startDeaths = 0;
  #pauseMs = 0;
  #restart: NodeJS.Timeout | undefined;
  #failure: CornerNetError | undefined;
  #started: { resolve: () => void; reject: (error: CornerNetError) => void } | undefined;

  private constructor(
    private readonly weights: PinnedWeights,
    private readonly options: LoadOptions,
    private readonly say: (text: string) => void,
  ) {}

  /**
   * @param weights every process that is started verifies the digest of what it loads.
   * @param say is told of deaths.
   * @throws {CornerNetError} as `Detector.load`; `ERR_CHECKPOINT` for another digest; `ERR_CRASHED` when the process dies whenever it starts; an abort
   * before it is ready rejects with the signal's reason.
   */
  static async start(
    weights: PinnedWeights,
    options: LoadOptions,
    say: (text: string) => void,
    signal?: AbortSignal,
  ): Promise<SupervisedDetector> {
    const detector = new SupervisedDetector(weights, options, say);
    const start = (): Promise<void> =>
      new Promise((resolve, reject) => {
        detector.#started = { resolve, reject };
        detector.#spawn();
      });
    try {
      await abortable(signal, start);
      return detector;
    } catch (error) {
      await detector.close();
      throw error;
    }
  }

  get info(): ChildInfo {
    return this.#info as ChildInfo; // start() has waited for it
  }

  get health(): EngineHealth {
    const inService = (device: string): boolean => this.#ready && !this.#failedDevices.includes(device);
    const devices = this.info.device.split(',').map((device) => ({ device, inService: inService(device) }));
    return { ready: this.#ready, processId: this.#process?.processId, devices };
  }

  get classes(): readonly string[] {
    return this.info.classes;
  }

  get window(): number {
    return this.info.window;
  }

  submit(entry: Entry, listed?: Listed): Promise<PictureOutcome> {
    return new Promise((settle, fail) => {
      if (this.#failure) {
        fail(this.#failure);
        return;
      }
      const task: Submission = { id: this.#nextId++, entry, listed, settle, fail, deaths: 0, company: Infinity };
      this.#tasks.set(task.id, task);
      this.#feed();
    });
  }

  async close(): Promise<void> {
    this.#giveUp(new CornerNetError('ERR_CLOSED', 'the batch was ended'));
    clearTimeout(this.#restart);
    await this.#process?.kill();
  }

  #spawn(): void {
    const spawned = new DetectorProcess((message) => {
      if (this.#process === spawned) this.#hear(message);
    });
    this.#process = spawned;
    this.#ready = false;
    void spawned.ended.then((death) => {
      if (this.#process !== spawned) return; // it was replaced
      this.#process = undefined;
      if (!this.#failure) this.#died(death);
    });
    spawned.send({ type: 'load', weights: this.weights, options: this.options });
  }

  #hear(message: FromChild): void {
    if (message.type === 'ready') {
      this.#ready = true;
      this.#startDeaths = 0;
      this.#info = message;
      this.#failedDevices = [];
      this.#started?.resolve();
      this.#started = undefined;
      this.#feed();
    } else if (message.type === 'failed') {
      if (!this.#ready) this.#giveUp(new CornerNetError(message.code as CornerNetErrorCode, message.message));
    } else if (message.type === 'warning') {
      this.say(message.text);
    } else if (message.type === 'devices') {
      this.#failedDevices = message.failed;
    } else if (message.type === 'blocked') {
      this.#replace();
    } else {
      this.#pauseMs = 0;
      this.#settle(message.id, message.outcome);
    }
  }

  /** By another process. Where each picture has a thread of its own, only one that hangs is late. */
  #replace(): void {
    this.say("a read or a decoder hangs in the detector's process: another one goes on");
    for (const task of this.#sent) task.company = Math.min(task.company, poolSize);
    const hanging = this.#process;
    this.#process = undefined;
    this.#ready = false;
    this.#sent.clear();
    void hanging?.kill().then(() => {
      if (!this.#failure) this.#spawn();
    });
  }

  /** Sends everything that waits; suspects before all others, a few at a time or alone. */
  #feed(): void {
    if (!this.#ready) return;
    const tasks = [...this.#tasks.values()];
    const most = Math.min(...tasks.map(({ company }) => company));
    for (const task of tasks) {
      if (this.#sent.size >= most) return;
      if (!this.#sent.has(task) && (most === Infinity || task.company < Infinity)) this.#sendTask(task);
    }
  }

  #sendTask(task: Submission): void {
    this.#sent.add(task);
    const { id, entry, listed } = task;
    this.#process?.send({ type: 'detect', id, entry, listed });
  }

  #settle(id: number, outcome: PictureOutcome): void {
    const task = this.#tasks.get(id);
    if (!task) return;
    this.#tasks.delete(id);
    this.#sent.delete(task);
    task.settle(outcome);
    if (task.company < Infinity) this.#feed();
  }

  #died(death: Death): void {
    const inHand = [...this.#sent];
    this.#sent.clear();
    const wasReady = this.#ready;
    this.#ready = false;
    if (!wasReady && ++this.#startDeaths === deathsAtStart) {
      this.#giveUp(new CornerNetError(death.code, `the detector's process dies whenever it starts (${death.how})`));
      return;
    }
    this.say(`the detector's process died (${death.how}) with ${inHand.length} pictures in hand, and is started again`);
    this.#blame(inHand, death);
    this.#restart = setTimeout(() => this.#spawn(), this.#pauseMs);
    this.#pauseMs = Math.min(longestPauseMs, Math.max(100, 2 * this.#pauseMs));
  }

  #blame(inHand: readonly Submission[], { code, how }: Death): void {
    for (const task of inHand) task.company = 1;
    const [alone] = inHand;
    if (!alone || inHand.length > 1 || ++alone.deaths < deathsOfPoison) return;
    const sentence = `the detector's process died of it ${deathsOfPoison} times (${how})`;
    this.#settle(alone.id, failedOutcome(alone.entry, new CornerNetError(code, sentence)));
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
