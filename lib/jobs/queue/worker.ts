// A worker: takes chunks from the queue as fast as its devices allow, wherever the batch runs that put them there.
import { once } from 'node:events';
import { join } from 'node:path';

import type { Job, Queue } from 'bullmq';

import { CornerNetError, sentenceOf } from '../../errors.js';
import { AllBlocked } from '../../images/deadline.js';
import { resolveWeights } from '../../weights/weights.js';
import type { WorkerOptions } from '../interfaces.js';
import type { Metrics } from '../metrics.js';
import { checkWorker } from '../options.js';
import { failedOutcome, type PictureOutcome } from '../outcome.js';
import type { SupervisedDetector } from '../supervisor.js';
import { chunksIn, clearTimerAtClose, openQueue, queueFailure, sayGoodbye, type OpenQueue } from './connection.js';
import { ChunkFailure, Engines } from './engines.js';
import { patientWorker } from './patient-worker.js';
import { livingWorkers, Presence } from './presence.js';
import { chunkSchema, longestChunk, longestSentence, parseMessage, type Chunk, type Reply } from './protocol.js';
import { QueueRoot } from './root.js';
import type { Envelope } from './seal.js';

/** A worker that shows no life for so long has its chunks taken over. The addon is in another process, so renewing never waits for it. */
const lockMs = 15_000;
/** Chunks at once: one in the network, others being read. */
const chunksAtOnce = 3;

/** How often a chunk may come back, which takes about three quarters of an hour. */
const mostReturns = 100;
/** What is done with any chunk, whatever it says itself. */
const ownJobOptions = {
  attempts: mostReturns,
  backoff: { type: 'returned' },
  removeOnComplete: { age: 3_600 },
  removeOnFail: { age: 3_600 },
};

async function detectPicture(entry: Chunk['entries'][number], root: QueueRoot, engine: SupervisedDetector): Promise<PictureOutcome> {
  // What submit() rejects with is the engine's failure and no picture's, whatever its code; that no thread is left is this process's.
  const outcome = await root.localEntry(entry).then(
    (local) => engine.submit(local),
    (error: unknown) => {
      if (!(error instanceof CornerNetError) || error.code !== 'ERR_INPUT' || error instanceof AllBlocked) throw error;
      return failedOutcome(entry, error);
    },
  );
  if (!('error' in outcome)) return { ...outcome, image: entry.path };
  const { code, message } = outcome.error;
  return { image: entry.path, error: { code, message: root.outward(message).slice(0, longestSentence) } };
}

/**
 * A chunk's way through a worker.
 * @param failed is told of what keeps the worker from going on.
 */
function chunkWork(
  engines: Engines,
  presence: Presence,
  root: QueueRoot,
  { seal, packages }: OpenQueue,
  say: (text: string) => void,
  failed: (error: unknown) => void,
  metrics: Metrics | undefined,
): (job: Job) => Promise<Envelope> {
  const open = (id: string, data: unknown): Chunk => {
    try {
      return parseMessage(chunkSchema, seal.open('chunk', id, data, longestChunk), 'a chunk');
    } catch (error) {
      throw new ChunkFailure('refused', sentenceOf(error), error);
    }
  };
  const detect = async (chunk: Chunk, engine: SupervisedDetector): Promise<Reply> => {
    presence.state.device = engine.info.device;
    presence.engine = engine;
    const outcomes = chunk.entries.map((entry) => {
      const outcome = detectPicture(entry, root, engine);
      return metrics?.measured({ ...entry, path: join(root.folder, entry.path) }, outcome) ?? outcome;
    });
    return { outcomes: await Promise.all(outcomes), classes: [...engine.info.classes] };
  };
  /** A bad chunk fails its own job; nothing but this machine's own failure ends the worker. */
  const unworkable = (id: string, { fate, message, cause = message }: ChunkFailure): Error => {
    if (fate === 'machine') failed(cause);
    else say(`chunk ${JSON.stringify(id.slice(0, 80))} is ${fate}: ${sentenceOf(cause)}`);
    if (fate === 'refused') presence.state.refused++;
    const sentence = message.slice(0, longestSentence);
    return fate === 'refused' ? new packages.UnrecoverableError(sentence) : new Error(sentence);
  };
  return async ({ id = '', data, opts }) => {
    Object.assign(opts, ownJobOptions);
    try {
      const chunk = open(id, data);
      const reply = await engines.use(chunk, (engine) => detect(chunk, engine));
      presence.count(reply);
      return seal.close('reply', id, reply);
    } catch (error) {
      throw unworkable(id, error as ChunkFailure);
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
function unlessGivenUp(signal: AbortSignal | undefined, work: (job: Job) => Promise<Envelope>): (job: Job) => Promise<Envelope> {
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
async function anyAborted(...signals: (AbortSignal | undefined)[]): Promise<void> {
  const any = AbortSignal.any(signals.filter((signal) => signal !== undefined));
  if (!any.aborted) await once(any, 'abort');
}

/**
 * Works on the queue until it is told to finish.
 * A chunk that is not as it should be is refused, which ends its job; one whose weights are not here goes back for other workers.
 * @throws {CornerNetError} `ERR_QUEUE`, `ERR_OPTION`, `ERR_INPUT`, `ERR_WEIGHTS` (none of that name), and `ERR_NOT_BUILT`, `ERR_LIBTORCH` or `ERR_DEVICE` when this machine can't
 * compute.
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const checked = checkWorker(options);
  const { signal, finish, weights, onMessage: say = () => undefined } = checked;
  if (weights !== undefined) resolveWeights(weights); // it would give back every chunk, and seem to work
  const root = new QueueRoot(checked.queue.root, checked.options?.timeout);
  const open = await openQueue(checked.queue, say);
  const { queue } = open;
  const presence = new Presence(queue);
  const engines = new Engines(checked, root, say);
  const failure = new AbortController();
  const metrics = await metricsOf(checked, presence, queue, say).catch(async (error: unknown) => {
    presence.end();
    await queue.close();
    throw error;
  });
  const work = chunkWork(engines, presence, root, open, say, (error) => failure.abort(error), metrics);
  const worker = patientWorker(open, unlessGivenUp(signal, work), {
    concurrency: chunksAtOnce,
    lockDuration: lockMs,
    stalledInterval: lockMs / 2,
    maxStalledCount: Number.MAX_SAFE_INTEGER, // whatever killed a worker, its chunk is no reason to give up
    autorun: false,
  });
  worker.on('error', open.onError);
  const running = worker.run().catch((error: unknown) => failure.abort(queueFailure(error)));
  /** Pauses first: BullMQ's first close() decides for all later ones whether chunks are waited for, and an abort may still come. */
  const leave = async (): Promise<void> => {
    if (!failure.signal.aborted) await worker.pause().catch(() => undefined); // it connects anew at last, to a server that may be gone
    await worker.close(failure.signal.aborted);
    await running;
  };
  try {
    say(`working on ${queue.name}, reading below ${root.folder}`);
    try {
      // BullMQ throws at nobody what becomes of a connection that is closed before it is ready.
      for (const client of await Promise.all([worker.waitUntilReady(), worker.client])) clearTimerAtClose(client);
      await Promise.all([livingWorkers(queue, true), presence.tell()]);
    } catch (error) {
      await worker.close(true);
      throw queueFailure(error);
    }
    await anyAborted(finish, signal, failure.signal);
    if (signal?.aborted !== true) await Promise.race([leave(), anyAborted(signal)]);
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
