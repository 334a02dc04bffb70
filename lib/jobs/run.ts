// A batch job: every picture of a frozen list gets exactly one record, however often the job is cut off and started again.
import pLimit from 'p-limit';

import { abortable } from '../abort.js';
import { CornerNetError } from '../errors.js';
import { poolSize, within } from '../images/deadline.js';
import type { Entry } from '../inputs/entry.js';
import { listInputs, PassedOver } from '../inputs/expand.js';
import { packageVersion } from '../package.js';
import { checkControls } from '../options/controls.js';
import { defaultTimeout } from '../options/values.js';
import { defaultWeights, resolveWeights, sha256 } from '../weights/weights.js';
import { checkPictures } from '../writers/coco.js';
import type { BatchJob } from './interfaces.js';
import { baseOf, compareJob, readJob, settingsOf, weightsOf, writeJob, type JobFile, type JobRequest } from './job.js';
import { freezeList, FrozenList, type Position } from './list.js';
import { refuseChanged, type Listed } from './listed.js';
import { FolderLock } from './lock.js';
import { Meter } from './meter.js';
import type { Metrics } from './metrics.js';
import { checkJob } from './options.js';
import { failedOutcome, type PictureOutcome } from './outcome.js';
import { finishOutputs, reopenOutputs } from './outputs.js';
import type { PinnedWeights } from './pinned.js';
import { DamagedRecords, damageSentence, JobRecords } from './records.js';
import { QueueEngine } from './queue/engine.js';
import { readSummary } from './summary.js';
import { SupervisedDetector, type Engine } from './supervisor.js';
import type { BatchSummary, RunBatchOptions } from './types.js';

/** Hands pictures to the engine, and looks at those before that it doesn't look at itself. */
class Submissions {
  /** One thread of the pool is left for the records, however many looks hang. */
  readonly #looks = pLimit(Math.max(1, poolSize - 1));

  /** @param seconds that a look may take, 0 for any time. */
  constructor(
    private readonly engine: Engine,
    private readonly seconds: number,
  ) {}

  async compute({ image, entry, seen }: Position): Promise<PictureOutcome> {
    if (this.engine.looks === true) return this.engine.submit(entry, { image, seen });
    try {
      await this.#look(entry, { image, seen });
    } catch (error) {
      return failedOutcome(entry, error);
    }
    return this.engine.submit(entry);
  }

  #look(entry: Entry, listed: Listed): Promise<void> {
    return new Promise((resolve) => {
      void this.#looks(async () => {
        const looking = refuseChanged(entry, listed);
        resolve(within(this.seconds, entry.path, () => looking));
        await looking.catch(() => undefined);
      });
    });
  }
}

/** Sends what is pending through the engine; ends when nothing is, when told to finish, or at the first failure that isn't a picture's. */
async function work(
  records: JobRecords,
  submissions: Submissions,
  window: number,
  meter: Meter,
  stop: () => boolean,
  signal: AbortSignal | undefined,
  metrics: Metrics | undefined,
): Promise<void> {
  let inFlight = 0;
  let failure: { error: unknown } | undefined;
  let wake: () => void = () => undefined;
  const change = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const abort = (): void => {
    failure ??= { error: signal?.reason };
    wake();
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    for await (const one of records.pending()) {
      while (inFlight >= window && !failure) await change();
      if (failure || stop()) break;
      inFlight++;
      const outcome = submissions.compute(one);
      (metrics ? metrics.measured(one.entry, outcome, one.seen) : outcome)
        .then((outcome) => records.write(one, outcome))
        .catch((error: unknown) => (failure ??= { error }))
        .finally(() => {
          inFlight--;
          meter.update(records.done, records.failed);
          wake();
        });
    }
    while (inFlight > 0 && !failure) await change();
    if (failure) throw failure.error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** One start of a job whose folder is locked. */
class JobRun {
  readonly #say: (text: string) => void;
  #engine: Engine | undefined;
  /** As they are named from here, which they may be otherwise in job.json. */
  #weights: PinnedWeights | undefined;
  #metrics: Metrics | undefined;
  #pending: (() => number) | undefined;

  constructor(
    private readonly job: BatchJob,
    private readonly options: RunBatchOptions,
    private readonly lock: FolderLock,
  ) {
    this.#say = options.onMessage ?? (() => undefined);
  }

  async toEnd(): Promise<BatchSummary> {
    this.#metrics = await this.#watch();
    try {
      return await this.#run();
    } finally {
      await this.#engine?.close();
      await this.#metrics?.close();
    }
  }

  async #watch(): Promise<Metrics | undefined> {
    const { metrics: port, queue } = this.job;
    if (port === undefined) return undefined;
    const { Metrics } = await import('./metrics.js'); // with its library
    const chunks = () => this.#engine?.chunks?.();
    return Metrics.serve(
      port,
      { health: () => this.#engine?.health, pending: () => this.#pending?.(), ...(queue && { chunks }) },
      this.#say,
    );
  }

  async #run(): Promise<BatchSummary> {
    const { output, retryErrors } = this.job;
    const existing = await readJob(output);
    const request = await this.#request(existing);
    if (existing) compareJob(output, existing, request);
    this.#weights = request.weights;
    const file = existing ?? (await this.#begin(request));
    // Of a job that is complete nothing else would be read, and nothing that is damaged be mended.
    const thorough = (await readSummary(output))?.state === 'complete';
    try {
      return await this.#goOn(file, { retryErrors, thorough });
    } catch (error) {
      if (!(error instanceof DamagedRecords)) throw error;
      this.#say(`${error.message}: all records are read again`);
      return await this.#goOn(file, { thorough: true });
    }
  }

  /** What this start asks for. Without inputs an existing job goes on as it was begun, in all that isn't named anew. */
  async #request(existing: JobFile | undefined): Promise<JobRequest> {
    const { inputs = [], weights, options = {}, limit, shard, hashInputs } = this.job;
    const kept = inputs.length === 0 ? existing : undefined;
    const given = weights ?? (kept && weightsOf(kept)) ?? defaultWeights();
    const { path, flip, scoreThreshold } = resolveWeights(given);
    return {
      weights: { given, sha256: await abortable(this.options.signal, () => sha256(path)) },
      // The weights' own test options are spelt out: they go with an id, and the same file may be named by its path the next time.
      settings: { flip, scoreThreshold, ...kept?.settings, ...settingsOf(options) },
      precision: options.precision,
      folder: kept ? kept.folder : process.cwd(),
      inputs: kept?.inputs ?? inputs,
      limit: limit ?? kept?.limit,
      shard: shard ?? kept?.shard,
      hashInputs: hashInputs ?? kept?.hashInputs,
    };
  }

  /** Freezes the list and writes job.json; the engine comes first, so that a wrong option costs no listing. */
  async #begin(request: JobRequest): Promise<JobFile> {
    const { output, inputs = [] } = this.job;
    if (inputs.length === 0) {
      throw new CornerNetError('ERR_OPTION', `${output} holds no job yet: name the pictures, folders, globs, lists or tar files`);
    }
    const engine = (this.#engine = await this.#start(request));
    const info = engine instanceof SupervisedDetector ? engine.info : undefined;
    const file: JobFile = {
      version: 2,
      created: new Date().toISOString(),
      cornernet: packageVersion(),
      libtorch: info?.libtorch ?? null,
      weights: request.weights,
      precision: info?.precision ?? request.precision ?? 'auto',
      classes: info?.classes ?? null,
      settings: request.settings,
      folder: request.folder,
      inputs,
      limit: request.limit,
      shard: request.shard,
      hashInputs: request.hashInputs,
      total: await freezeList(output, this.#entries(inputs), {
        ...request,
        hash: request.hashInputs,
        signal: this.options.signal,
      }),
    };
    await writeJob(output, file);
    return file;
  }

  async *#entries(inputs: readonly string[]): AsyncGenerator<Entry, void> {
    const passedOver = new PassedOver();
    for await (const entry of listInputs(inputs, { onPassedOver: passedOver.count })) {
      this.options.signal?.throwIfAborted();
      yield entry;
    }
    if (passedOver.sentence !== '') this.#say(passedOver.sentence);
  }

  #start({ settings, precision = 'auto', folder }: Pick<JobRequest, 'settings' | 'precision' | 'folder'>): Promise<Engine> {
    const { queue, options } = this.job;
    const { signal } = this.options;
    const weights = this.#weights as PinnedWeights; // #run() has them
    if (!queue) return SupervisedDetector.start(weights, { ...options, ...settings, precision }, this.#say, signal);
    let starting: Promise<QueueEngine> | undefined;
    return abortable(
      signal,
      () =>
        (starting = QueueEngine.start({ ...queue, root: queue.root ?? baseOf({ folder }) }, { weights, settings, precision }, this.#say)),
      () => void starting?.then((late) => late.close()).catch(() => undefined),
    );
  }

  async #goOn(file: JobFile, how: { readonly retryErrors?: boolean | undefined; readonly thorough?: boolean }): Promise<BatchSummary> {
    const list = new FrozenList(this.job.output, file.total, baseOf(file));
    const records = await JobRecords.open(this.job.output, list, {
      ...how,
      signal: this.options.signal,
      held: (anew) => this.lock.held(anew),
    });
    try {
      const { output, annotations } = this.job;
      // First of all: what was forgotten or damaged is so already, whatever keeps this start from computing it.
      if (records.done + records.failed < file.total) await reopenOutputs(output, file, records);
      if (annotations !== undefined) await checkPictures(annotations, list.images());
      const damage = damageSentence(records.damaged);
      if (damage !== '') this.#say(damage);
      return await this.#work(file, records);
    } finally {
      await records.close();
    }
  }

  async #work(file: JobFile, records: JobRecords): Promise<BatchSummary> {
    const { output, maxErrors = Infinity, format = 'jsonl', annotations } = this.job;
    const { signal, finish, onProgress } = this.options;
    this.#pending = () => file.total - records.done - records.failed;
    const stop = (): boolean => finish?.aborted === true || records.failed > maxErrors;
    const meter = await Meter.open(output, file.total, records.done, records.failed, onProgress);
    try {
      if (records.done + records.failed < file.total && !stop()) {
        const engine = (this.#engine ??= await this.#start(file));
        const submissions = new Submissions(engine, this.job.options?.timeout ?? defaultTimeout);
        await work(records, submissions, engine.window, meter, stop, signal, this.#metrics);
      }
    } finally {
      await meter.close(records.done, records.failed);
    }
    await this.lock.held(true);
    const classes = file.classes ?? this.#engine?.classes ?? null;
    const known = { ...file, classes };
    if (file.classes === null && classes) await writeJob(output, known);
    return finishOutputs(output, known, records, { format, annotations }, signal);
  }
}

/**
 * Detects objects in any number of pictures and keeps every result in a folder: `job.json`, `results-*.jsonl` (the records of
 * `cornernet detect`), `errors.jsonl`, `summary.json`, `report.html`. Called again on the same folder it goes on where it was cut off,
 * whatever cut it off; each picture has exactly one record at the end. The addon runs in a process of its own: a picture that kills it
 * twice is recorded with `ERR_CRASHED`, and the job goes on.
 *
 * @example
 * ```ts
 * const summary = await runBatch({ inputs: ['pictures/'], output: 'job', weights: '10x5' });
 * console.log(summary.done, summary.failed);
 * ```
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_JOB` (the folder holds another job, or the same with other settings), `ERR_LOCKED` (another process
 * has it), `ERR_INPUT` (no pictures), `ERR_WRITE`, `ERR_QUEUE`, `ERR_CRASHED` (its process dies whenever it
 * starts), and what `Detector.load` throws; an abort rejects with the signal's reason.
 */
export async function runBatch(job: BatchJob, options: RunBatchOptions = {}): Promise<BatchSummary> {
  const checked = checkJob(job);
  checkControls(options, 'signal', 'finish', 'onMessage', 'onProgress');
  options.signal?.throwIfAborted();
  const lock = await FolderLock.take(checked.output, { signal: options.signal, say: options.onMessage });
  try {
    return await new JobRun(checked, options, lock).toEnd();
  } finally {
    await lock.release();
  }
}
