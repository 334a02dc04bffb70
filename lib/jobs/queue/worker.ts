// A worker: takes chunks from the queue as fast as its devices allow, wherever the batch runs that put them there.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import type { Job, Queue } from 'bullmq';

import { CornerNetError, sentenceOf } from '../../errors.js';
import type { Entry } from '../../inputs/entry.js';
import { checkLoadOptions } from '../../options/check.js';
import { findWeights, resolveWeights } from '../../weights/weights.js';
import type { WorkerOptions } from '../interfaces.js';
import type { Metrics } from '../metrics.js';
import { checkWorker } from '../options.js';
import { failedOutcome, type PictureOutcome } from '../outcome.js';
import { SupervisedDetector } from '../supervisor.js';
import type { WorkerState } from '../types.js';
import { chunksIn, openQueue, sayGoodbye, type OpenQueue } from './connection.js';
import { chunkSchema, parseMessage, type Chunk, type Reply } from './protocol.js';
import { QueueRoot } from './root.js';

/** A worker that shows no life for so long has its chunks taken over. The addon is in another process, so renewing never waits for it. */
const lockMs = 15_000;
/** Chunks at once: one in the network, others being read. */
const chunksAtOnce = 3;
const tellMs = 2_000;

/** The detector of the job whose chunks come in; another job's takes its place when all its chunks are done. */
class Engines {
  readonly #options: WorkerOptions;
  readonly #root: QueueRoot;
  readonly #say: (text: string) => void;
  #key = '';
  #engine: Promise<SupervisedDetector> | undefined;
  #users = 0;
  #wake: (() => void)[] = [];

  constructor(options: WorkerOptions, root: QueueRoot, say: (text: string) => void) {
    this.#options = options;
    this.#root = root;
    this.#say = say;
  }

  async use<T>(chunk: Chunk, body: (engine: SupervisedDetector) => Promise<T>): Promise<T> {
    const key = createHash('sha256')
      .update(JSON.stringify([chunk.weights.sha256, chunk.precision, chunk.settings]))
      .digest('hex');
    while (this.#key !== key && this.#users > 0) await new Promise<void>((resolve) => this.#wake.push(resolve));
    this.#users++;
    try {
      if (this.#key !== key) {
        const former = this.#engine;
        this.#key = key;
        this.#engine = this.#start(chunk, former);
      }
      return await body(await (this.#engine as Promise<SupervisedDetector>));
    } finally {
      this.#users--;
      for (const wake of this.#wake.splice(0)) wake();
    }
  }

  async close(): Promise<void> {
    await (await this.#engine?.catch(() => undefined))?.close();
  }

  async #start(chunk: Chunk, former: Promise<SupervisedDetector> | undefined): Promise<SupervisedDetector> {
    await (await former?.catch(() => undefined))?.close();
    const { path } = await this.#findWeights(chunk.weights.given);
    const settings = checkLoadOptions({ ...chunk.settings, precision: chunk.precision });
    return SupervisedDetector.start({ given: path, sha256: chunk.weights.sha256 }, { ...settings, ...this.#options.options }, this.#say);
  }

  async #findWeights(given: string): Promise<{ path: string }> {
    if (this.#options.weights !== undefined) return resolveWeights(this.#options.weights);
    if (findWeights(given)) return resolveWeights(given);
    // Any other name from the queue is a file below the root, never just any of the machine.
    const path = await this.#root.check(given);
    if (existsSync(path)) return { path };
    throw new CornerNetError('ERR_INPUT', `the job's weights ${given} are not below this worker's root: name them with --weights`);
  }
}

async function detectPicture(entry: Entry, root: QueueRoot, engine: SupervisedDetector): Promise<PictureOutcome> {
  try {
    return await engine.submit(await root.localEntry(entry));
  } catch (error) {
    if (error instanceof CornerNetError && error.code === 'ERR_INPUT') return failedOutcome(entry, error);
    throw error;
  }
}

async function detectChunk(chunk: Chunk, root: QueueRoot, engine: SupervisedDetector, metrics: Metrics | undefined): Promise<Reply> {
  const outcomes = await Promise.all(
    chunk.entries.map((entry) => {
      const outcome = detectPicture(entry, root, engine);
      return metrics ? metrics.measured({ ...entry, path: join(root.folder, entry.path) }, outcome) : outcome;
    }),
  );
  return { outcomes, classes: [...engine.info.classes] };
}

/** What `cornernet status` shows of this worker. */
class Presence {
  readonly state: { -readonly [Key in keyof WorkerState]: WorkerState[Key] } = {
    host: hostname(),
    pid: process.pid,
    device: null,
    pictures: 0,
    errors: 0,
    rate: 0,
    time: 0,
  };
  /** That works at present, or did last. */
  engine: SupervisedDetector | undefined;
  readonly #queue: Queue;
  #before = { pictures: 0, time: Date.now() };
  readonly #timer: NodeJS.Timeout;

  constructor(queue: Queue) {
    this.#queue = queue;
    this.#timer = setInterval(() => void this.tell().catch(() => undefined), tellMs);
  }

  count({ outcomes }: Reply): void {
    this.state.pictures += outcomes.length;
    this.state.errors += outcomes.filter((outcome) => 'error' in outcome).length;
  }

  async tell(): Promise<void> {
    const now = Date.now();
    const rate = (this.state.pictures - this.#before.pictures) / Math.max(1e-3, (now - this.#before.time) / 1000);
    this.#before = { pictures: this.state.pictures, time: now };
    Object.assign(this.state, { rate: (this.state.rate + rate) / 2, time: now });
    await (await this.#queue.client).hset(this.#queue.toKey('presence'), { [this.#field]: JSON.stringify(this.state) });
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Until then its line in the status fades by itself. */
  async leave(): Promise<void> {
    await (await this.#queue.client).hdel(this.#queue.toKey('presence'), this.#field);
  }

  get #field(): string {
    return `${this.state.host}-${this.state.pid}`;
  }
}

/** What becomes of a chunk; `failed` is told of what keeps the worker from going on. */
function chunkWork(
  engines: Engines,
  presence: Presence,
  root: QueueRoot,
  { UnrecoverableError }: OpenQueue['packages'],
  failed: (error: unknown) => void,
  metrics: Metrics | undefined,
): (job: Job) => Promise<Reply> {
  return async ({ data }) => {
    let chunk: Chunk;
    try {
      chunk = parseMessage(chunkSchema, data, 'a chunk');
    } catch (error) {
      throw new UnrecoverableError(sentenceOf(error));
    }
    try {
      const reply = await engines.use(chunk, (engine) => {
        presence.state.device = engine.info.device;
        presence.engine = engine;
        return detectChunk(chunk, root, engine, metrics);
      });
      presence.count(reply);
      return reply;
    } catch (error) {
      failed(error);
      throw error;
    }
  };
}

async function metricsOf(
  { metrics: port }: WorkerOptions,
  presence: Presence,
  queue: Queue,
  say: (text: string) => void,
): Promise<Metrics | undefined> {
  if (port === undefined) return undefined;
  const { Metrics } = await import('../metrics.js'); // with its library
  return Metrics.serve(port, { health: () => presence.engine?.health, chunks: () => chunksIn(queue) }, say);
}

/** A chunk that is given up never settles: BullMQ would try without a pause to tell a server that it has left. Another worker takes it over in time. */
function unlessGivenUp(signal: AbortSignal | undefined, work: (job: Job) => Promise<Reply>): (job: Job) => Promise<Reply> {
  return async (job) => {
    try {
      return await work(job);
    } catch (error) {
      if (signal?.aborted === true) await new Promise(() => undefined);
      throw error;
    }
  };
}

/** Resolves when one of the signals is aborted, or was. */
function anyAborted(...signals: (AbortSignal | undefined)[]): Promise<void> {
  const any = AbortSignal.any(signals.filter((signal) => signal !== undefined));
  return new Promise((resolve) => {
    if (any.aborted) resolve();
    else any.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Works on the queue until it is told to finish.
 * @throws {CornerNetError} `ERR_QUEUE`, `ERR_OPTION`, `ERR_INPUT`, and what `Detector.load` throws for a job's weights and settings: its
 * chunk goes back for other workers.
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const checked = checkWorker(options);
  const { signal, finish, onMessage: say = () => undefined } = checked;
  const root = new QueueRoot(checked.queue.root);
  const { queue, connection, packages } = await openQueue(checked.queue, say);
  const presence = new Presence(queue);
  const engines = new Engines(checked, root, say);
  const failure = new AbortController();
  const metrics = await metricsOf(checked, presence, queue, say).catch(async (error: unknown) => {
    presence.end();
    await queue.close();
    throw error;
  });
  const worker = new packages.Worker(
    queue.name,
    unlessGivenUp(
      signal,
      chunkWork(engines, presence, root, packages, (error) => failure.abort(error), metrics),
    ),
    {
      connection,
      concurrency: chunksAtOnce,
      lockDuration: lockMs,
      stalledInterval: lockMs / 2,
      maxStalledCount: Number.MAX_SAFE_INTEGER, // whatever killed a worker, its chunk is no reason to give up
      autorun: false,
    },
  );
  worker.on('error', (error) => say(`the queue: ${sentenceOf(error)}; it is tried again`));
  const running = worker.run();
  try {
    say(`working on ${queue.name}, reading below ${root.folder}`);
    await presence.tell();
    await anyAborted(finish, signal, failure.signal);
    await Promise.race([worker.close(failure.signal.aborted).then(() => running), anyAborted(signal)]);
    if (signal?.aborted === true)
      await sayGoodbye(
        () => worker.close(true),
        () => worker.disconnect(),
      );
  } finally {
    await engines.close();
    await metrics?.close();
    presence.end();
    await sayGoodbye(
      async () => {
        await presence.leave();
        await queue.close();
      },
      () => queue.disconnect(),
    );
  }
  if (signal?.aborted !== true) failure.signal.throwIfAborted(); // chunks that are given up fail by that alone
}
