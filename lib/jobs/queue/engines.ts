// The worker's detector: that of the job whose chunks come in. What a chunk asks for is held against what this machine allows.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';

import { CornerNetError, sentenceOf } from '../../errors.js';
import { within } from '../../images/deadline.js';
import { checkLoadOptions } from '../../options/check.js';
import type { LoadOptions } from '../../options/interfaces.js';
import { defaultMaxPixels, defaultTimeout } from '../../options/values.js';
import { findWeights, resolveWeights, sha256 } from '../../weights/weights.js';
import type { WorkerOptions } from '../interfaces.js';
import { workerLimits } from '../options.js';
import { stateOf, type PinnedWeights } from '../pinned.js';
import { SupervisedDetector } from '../supervisor.js';
import type { Chunk } from './protocol.js';
import type { QueueRoot } from './root.js';

/** What becomes of a chunk that can't be computed here; its sentence says nothing of this machine. */
export class ChunkFailure extends Error {
  /**
   * @param fate 'refused': no worker could compute it. 'given back': another might. 'machine': this machine can't compute anything.
   * @param cause what this machine's own log may say.
   */
  constructor(
    readonly fate: 'refused' | 'given back' | 'machine',
    sentence: string,
    cause?: unknown,
  ) {
    super(sentence, cause === undefined ? {} : { cause });
  }
}

/** @param wasReady whether the detector had worked before: then its device fails, and not what was asked of it. */
function chunkFailure(error: unknown, { precision }: Chunk, wasReady: boolean): ChunkFailure {
  if (error instanceof ChunkFailure) return error;
  const code = error instanceof CornerNetError ? error.code : 'ERR_INTERNAL';
  if (code === 'ERR_OPTION') return new ChunkFailure('refused', sentenceOf(error), error);
  if (code === 'ERR_CHECKPOINT') return new ChunkFailure('refused', `${code}: the job's weights can't be loaded`, error);
  const machine = code === 'ERR_NOT_BUILT' || code === 'ERR_LIBTORCH' || (code === 'ERR_DEVICE' && (wasReady || precision === 'auto'));
  return new ChunkFailure(machine ? 'machine' : 'given back', `${code}: its detector can't go on; its log says why`, error);
}

const limitNames = Object.keys(workerLimits) as (keyof typeof workerLimits)[];

/** What the job's detector is loaded with: the job's settings within this worker's limits. */
function settingsWithin({ settings, precision }: Chunk, own: WorkerOptions): LoadOptions {
  const asked = checkLoadOptions({ ...settings, precision });
  for (const name of limitNames) {
    const [wanted = 0, limit] = [asked[name], own[name] ?? workerLimits[name]];
    if (wanted > limit) throw new ChunkFailure('refused', `the job asks for ${name} ${wanted}, this worker allows ${limit}`);
  }
  return { maxPixels: Math.min(defaultMaxPixels, own.maxPixels ?? Infinity), ...asked, ...own.options };
}

/** How long a job's detector still begins chunks while another job waits, whose few might wait for millions else: changing it takes seconds. */
const turnMs = 30_000;

export class Engines {
  #key = '';
  #engine: Promise<SupervisedDetector> | undefined;
  #users = 0;
  #wake: (() => void)[] = [];
  /** When it has to make room; unset while no other job waits. */
  #turnEnds: number | undefined;
  /** Of files that have not changed since. */
  readonly #digests = new Map<string, string>();

  constructor(
    private readonly options: WorkerOptions,
    private readonly root: QueueRoot,
    private readonly say: (text: string) => void,
    private readonly turn = turnMs,
  ) {}

  /**
   * Another job's detector takes the present one's place when all chunks are done that it has begun.
   * @throws {ChunkFailure}
   */
  async use<T>(chunk: Chunk, body: (engine: SupervisedDetector) => Promise<T>): Promise<T> {
    const key = createHash('sha256')
      .update(JSON.stringify([chunk.weights.sha256, chunk.precision, chunk.settings]))
      .digest('hex');
    const { settings, weights } = await this.#check(chunk); // before it costs another job its detector
    // In turn: who came first is woken first.
    while (this.#users > 0 && (this.#key !== key || performance.now() >= (this.#turnEnds ?? Infinity))) {
      this.#turnEnds ??= performance.now() + this.turn;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    this.#users++;
    let wasReady = false;
    try {
      if (this.#key !== key) {
        const former = this.#engine;
        this.#key = key;
        this.#turnEnds = undefined;
        this.#engine = this.#start({ given: weights, sha256: chunk.weights.sha256 }, settings, former);
      }
      const engine = await (this.#engine as Promise<SupervisedDetector>);
      wasReady = true;
      return await body(engine);
    } catch (error) {
      this.#key = ''; // the next chunk has it started anew
      throw chunkFailure(error, chunk, wasReady);
    } finally {
      this.#users--;
      for (const wake of this.#wake.splice(0)) wake();
    }
  }

  async close(): Promise<void> {
    await (await this.#engine?.catch(() => undefined))?.close();
  }

  async #check(chunk: Chunk): Promise<{ settings: LoadOptions; weights: string }> {
    try {
      return { settings: settingsWithin(chunk, this.options), weights: await this.#weightsOf(chunk) };
    } catch (error) {
      throw chunkFailure(error, chunk, false);
    }
  }

  async #start(
    weights: PinnedWeights,
    settings: LoadOptions,
    former: Promise<SupervisedDetector> | undefined,
  ): Promise<SupervisedDetector> {
    await (await former?.catch(() => undefined))?.close();
    return SupervisedDetector.start(weights, settings, this.say, this.options.signal);
  }

  /** One sentence for all that is amiss with them: a message must not learn what files there are, and what is in them. */
  async #weightsOf({ weights: { given, sha256: wanted } }: Chunk): Promise<string> {
    let cause: unknown;
    try {
      const path = await this.#findWeights(given);
      const digest = await this.#digestOf(path);
      if (digest === wanted) return path;
      cause = new CornerNetError('ERR_CHECKPOINT', `${path} has the sha256 ${digest}, the job's weights ${given} have ${wanted}`);
    } catch (error) {
      cause = error;
    }
    throw new ChunkFailure('given back', `it has no weights ${given} of the job's checksum: name them there with --weights`, cause);
  }

  async #findWeights(given: string): Promise<string> {
    const { weights } = this.options;
    if (weights !== undefined || findWeights(given)) return resolveWeights(weights ?? given).path;
    // Any other name from the queue is a file below the root, never just any of the machine.
    const path = await this.root.check(given);
    if ((await stat(path).catch(() => undefined))?.isFile() === true) return path;
    throw new CornerNetError('ERR_INPUT', `the job's weights ${given} are not below this worker's root: name them with --weights`);
  }

  async #digestOf(path: string): Promise<string> {
    const key = await within(this.options.options?.timeout ?? defaultTimeout, path, () => stateOf(path));
    // As long as it takes, and known to go on: the end of the process doesn't wait for it.
    const digest = this.#digests.get(key) ?? (await within(0, path, () => sha256(path)));
    this.#digests.set(key, digest);
    return digest;
  }
}
