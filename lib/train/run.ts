// A training: steps to the end, kept in a folder so that it goes on where it was cut off.
import { existsSync } from 'node:fs';

import { picturesBelow } from '../coco/pictures.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import { FolderLock } from '../jobs/lock.js';
import { loadNative, type NativeMembership, type NativeTrainer, type NativeTrainerInfo } from '../native.js';
import { nativeCalls, type NativeCall } from '../native-calls.js';
import { checkControls } from '../options/check.js';
import type { Device } from '../options/values.js';
import { clearAside, writeAside } from '../output-file.js';
import { resolveWeights } from '../weights/weights.js';
import { batchesOf, type AheadBatch, type TrainBatch } from './batches.js';
import { checkBest, checkFolder, checkUnsaved, filesOf } from './folder.js';
import type { TrainOptions } from './interfaces.js';
import { noteFailures, openLog, type LoggedStep, type TrainLog } from './log.js';
import { readMaterial } from './material.js';
import { devicesOf, membershipOf, membershipsOf } from './membership.js';
import { TrainMeter } from './meter.js';
import { checkTrainOptions } from './options.js';
import { Peers } from './peers.js';
import { compareConfig, configOf, planOf, readConfig, writeConfig, type TrainConfig, type TrainMaterial, type TrainPlan } from './plan.js';
import { learningRates } from './schedule.js';
import type { TrainControls, TrainSummary } from './types.js';
import { validate } from './validate.js';

/** What a checkpoint gave, in words. */
function takenOver(from: string, { taken, drawn, hasMoments }: NativeTrainerInfo): string {
  const anew = drawn.length === 0 ? 'nothing starts anew' : `${drawn.length} start anew (${drawn.join(', ')})`;
  return `${taken} tensors were taken over from ${from}, ${anew}${hasMoments ? "; its optimizer's state goes on" : ''}`;
}

/** What all devices of a process have in common. */
interface Shared {
  readonly options: TrainOptions;
  readonly controls: TrainControls;
  /** Of each device. */
  readonly threads: number | undefined;
  /** Where average precision is measured. */
  readonly validatesOn: Device;
  /** What there is to learn, and how: read when the first asks for it. */
  readonly task: () => Promise<{ readonly material: TrainMaterial; readonly plan: TrainPlan; readonly config: TrainConfig }>;
}

/** One start of a training, or of one device's part of it: the first of all devices alone keeps the folder, measures and tells. */
class TrainRun {
  readonly #shared: Shared;
  readonly #device: Device;
  readonly #options: TrainOptions;
  readonly #controls: TrainControls;
  readonly #files: ReturnType<typeof filesOf>;
  readonly #say: (text: string) => void;
  readonly #trainer: NativeTrainer;
  readonly #call: NativeCall;
  /** Names of pictures whose annotations state another size. */
  readonly #resized = new Set<string>();
  #peers: Peers | undefined;
  #lock: FolderLock | undefined;

  constructor(device: Device, shared: Shared) {
    const { options, controls } = shared;
    this.#shared = shared;
    this.#device = device;
    this.#options = options;
    this.#controls = controls;
    this.#files = filesOf(options.output);
    this.#say = controls.onMessage ?? (() => undefined);
    this.#trainer = new (loadNative().Trainer)();
    this.#call = nativeCalls(this.#trainer, controls.signal);
  }

  get #leads(): boolean {
    return this.#peers === undefined || this.#peers.rank === 0;
  }

  /** @param membership of the processes that train together; undefined for one alone. */
  async toEnd(membership: NativeMembership | undefined): Promise<TrainSummary> {
    const { signal, onMessage } = this.#controls;
    try {
      if (membership) {
        if (membership.rank === 0) this.#say(`waiting for all ${membership.processes} that train together`);
        this.#peers = await Peers.meet(membership, this.#trainer, this.#call);
      }
      if (this.#leads) this.#lock = await FolderLock.take(this.#options.output, { signal, say: onMessage });
      return await this.#fromMaterial();
    } catch (error) {
      await this.#peers?.leave(error instanceof CornerNetError ? `${error.code}: ${error.message}` : sentenceOf(error));
      throw error;
    } finally {
      await this.#trainer.close();
      await this.#lock?.release();
    }
  }

  async #fromMaterial(): Promise<TrainSummary> {
    const { output } = this.#options;
    if (this.#leads) await checkFolder(output);
    const { material, plan, config } = await this.#shared.task();
    const isBegun = this.#leads && existsSync(this.#files.config);
    if (isBegun) compareConfig(output, await readConfig(this.#files.config), config);
    const hasLast = this.#leads && existsSync(this.#files.last);
    if (isBegun && !hasLast) await checkUnsaved(output, plan);
    if (this.#leads) {
      await clearAside(output);
      // Before the first step, and before the report shows any of them.
      if (material.validation) await picturesBelow(material.validation.images, material.validation.annotations);
    }
    const goesOn = this.#peers ? await this.#peers.agree(config, hasLast) : hasLast;
    const info = await this.#begin(plan, material.classes, goesOn);
    if (!this.#leads) return this.#goOn(plan, material, info, undefined);
    if (!isBegun) await writeConfig(this.#files.config, config);
    const log = await openLog(output, info.iteration, this.#say);
    try {
      checkBest(output, plan, info.iteration, log);
      return await this.#goOn(plan, material, info, log);
    } finally {
      await log.file.close();
    }
  }

  /** @param goesOn whether there is a last.pth, which the first process alone has. */
  async #begin({ settings }: TrainPlan, classes: readonly string[], goesOn: boolean): Promise<NativeTrainerInfo> {
    const { last } = this.#files;
    const { from, architecture, precision, seed, freeze } = settings;
    const begun = await this.#call(() =>
      this.#trainer.begin({
        ...(goesOn && this.#leads ? { from: last } : from !== undefined && { from: resolveWeights(from).path }),
        ...{
          architecture,
          classes,
          device: this.#device,
          precision,
          seed,
          threads: this.#shared.threads,
          recompute: this.#options.recompute,
          freezeBackbone: freeze === 'backbone',
        },
        freezeNorms: freeze === 'norms',
      }),
    );
    // What the build has, and no look at the GPUs, which would take memory of one.
    const hint = begun.device === 'cpu' && loadNative().buildInfo().cuda ? ' (`device: cuda` trains on a GPU)' : '';
    if (this.#leads) this.#say(`training on ${begun.device} in ${precision}${hint}`);
    if (this.#leads && begun.sums !== '') this.#say(`the GPUs' gradients are added up over ${begun.sums}`);
    if (!goesOn) {
      if (from !== undefined && this.#leads) this.#say(takenOver(from, begun));
      return { ...begun, iteration: 0 };
    }
    if (!this.#leads) return begun;
    if (begun.drawn.length > 0 || (begun.iteration > 0 && !begun.hasMoments)) {
      throw new CornerNetError('ERR_JOB', `${last} is not of this training: it has other classes, or no optimizer to go on with`);
    }
    if (begun.iteration < 0 || begun.iteration > settings.iterations) {
      throw new CornerNetError(
        'ERR_JOB',
        `${last} is not of this training: it says that ${begun.iteration} of ${settings.iterations} steps are done`,
      );
    }
    this.#say(`going on after step ${begun.iteration} of ${settings.iterations}`);
    return begun;
  }

  async #goOn(plan: TrainPlan, material: TrainMaterial, info: NativeTrainerInfo, log: TrainLog | undefined): Promise<TrainSummary> {
    const { signal, finish } = this.#controls;
    const { settings, epochLength, processes } = plan;
    const peers = this.#peers;
    const meter = new TrainMeter(settings.iterations, epochLength, log?.validations.at(-1)?.AP, log && this.#controls.onProgress);
    const rates = learningRates(plan.schedule);
    for (let passed = 0; passed < info.iteration; passed++) rates.next();
    const isDue = (done: number): boolean => done === settings.iterations || done % (settings.valEvery * epochLength) === 0;
    let done = info.iteration;
    let rate = settings.learningRate;
    let saved = done;
    const save = async (): Promise<void> => {
      await log?.file.sync(); // before the checkpoint says so
      await this.#save(this.#files.last, done, epochLength, rate, true);
      saved = done;
    };
    const warned = new Set<string>();
    /** What ends it early is left for the next start, which measures first. */
    const measure = async (): Promise<void> => {
      const { validation } = material;
      if (!validation || !log || finish?.aborted === true) return;
      meter.pause();
      const ends = AbortSignal.any([signal, finish].filter((one) => one !== undefined));
      const measured = (until: AbortSignal) => validate(validation, this.#files.last, this.#shared.validatesOn, until);
      const result = await (peers && done < settings.iterations ? peers.watched(ends, measured) : measured(ends)).catch(
        (error: unknown) => {
          if (finish?.aborted === true && error === finish.reason) return undefined;
          throw error;
        },
      );
      if (!result) return;
      for (const warning of result.warnings.filter((one) => !warned.has(one))) {
        warned.add(warning);
        this.#say(`validation: ${warning}`);
      }
      const { AP, AP50, AP75 } = result.stats;
      const best = log.validations.every((earlier) => earlier.AP < AP);
      if (best) await this.#save(this.#files.best, done, epochLength, rate, false);
      const line = { iteration: done, AP, AP50, AP75, best };
      log.validations.push(line);
      await log.file.append(line);
      meter.AP = AP;
      this.#say(`step ${done}: AP ${AP.toFixed(4)}, AP50 ${AP50.toFixed(4)}${best ? ', the best so far' : ''}`);
    };
    if (log && done > 0 && isDue(done) && log.validations.at(-1)?.iteration !== done) await measure();
    const order = { batchSize: settings.batchSize * processes, seed: settings.seed };
    const part = { rank: peers?.rank ?? 0, processes };
    const classIds = new Map(info.classes.map((name, id) => [name, id]));
    const augmentation = { enabled: settings.augment !== 'none', size: settings.crop, mirrors: settings.augment !== 'unmirrored' };
    // None of an empty batch that ends the training anyway.
    const prepare = ({ samples }: TrainBatch): Promise<number> =>
      samples.length === 0 && !peers ? Promise.resolve(0) : this.#call((id) => this.#trainer.prepare(id, samples, augmentation));
    for await (const batch of batchesOf(material.pictures, classIds, order, part, done, settings.iterations, prepare)) {
      const wantsEnd = finish?.aborted === true;
      if (wantsEnd && !peers) break;
      signal?.throwIfAborted();
      rate = rates.next().value;
      const { stop, line } = await this.#step(batch, plan, rate, meter, wantsEnd);
      done = batch.iteration + 1;
      if (log) {
        noteFailures(log, line);
        await this.#lock?.held();
        await log.file.append(line);
        if (material.validation ? isDue(done) : done === settings.iterations) {
          await save();
          await measure();
        } else if (done % settings.saveEvery === 0) {
          await save();
        }
      }
      if (stop) break; // all of them after the same step
    }
    if (this.#resized.size > 1) this.#say(`${this.#resized.size} pictures have other sizes than the annotations state`);
    const unmeasured = log && material.validation && log.validations.at(-1)?.iteration !== done;
    const state = done === settings.iterations && !unmeasured ? 'complete' : 'stopped';
    const summary = { state, iteration: done, iterations: settings.iterations, classes: info.classes, last: this.#files.last } as const;
    if (!log) return { ...summary, best: null, bestAP: null };
    if (saved < done || !existsSync(this.#files.last)) await save();
    const best = log.validations.filter((one) => one.best).at(-1);
    const { writeTrainReport } = await import('./report.js'); // with the charts
    await writeTrainReport(this.#files, plan, done, material, log, signal);
    return { ...summary, best: best ? this.#files.best : null, bestAP: best?.AP ?? null };
  }

  async #step(
    batch: AheadBatch<number>,
    { epochLength }: TrainPlan,
    rate: number,
    meter: TrainMeter,
    wantsEnd: boolean,
  ): Promise<{ stop: boolean; line: LoggedStep }> {
    const { iteration, names, failures, resized, prepared } = batch;
    for (const { reason } of failures) this.#say(`left out in step ${iteration + 1}: ${reason}`);
    for (const { name, reason } of resized) {
      if (this.#resized.size === 0) this.#say(`${reason}; its boxes count as they are`);
      this.#resized.add(name);
    }
    if (names.length === 0 && !this.#peers) {
      throw new CornerNetError('ERR_INPUT', `no picture of step ${iteration + 1} can be read, the first: ${failures[0]?.reason ?? ''}`);
    }
    try {
      const ready = await prepared;
      const { total: loss, ...step } = await this.#call((id) => this.#trainer.step(id, ready, rate, wantsEnd));
      const line = {
        iteration: iteration + 1,
        epoch: 1 + Math.floor(iteration / epochLength),
        loss,
        ...{ det: [...step.det], pull: [...step.pull], push: [...step.push], off: [...step.off] },
        learningRate: rate,
        gradientNorm: Number.isFinite(step.gradientNorm) ? step.gradientNorm : null,
        picturesPerSecond: meter.count(iteration + 1, step.pictures, loss, rate),
        memory: step.deviceBytes > 0 ? step.deviceBytes : process.memoryUsage.rss(),
        ...(failures.length > 0 && { failed: [...failures] }),
      };
      return { stop: step.stop, line };
    } catch (error) {
      if (!(error instanceof CornerNetError) || error.code !== 'ERR_INPUT') throw error;
      const kept = existsSync(this.#files.last) ? `; ${this.#files.last} is from before` : '';
      throw new CornerNetError('ERR_INPUT', `step ${iteration + 1}: ${error.message}; its pictures are ${names.join(', ')}${kept}`);
    }
  }

  async #save(path: string, iteration: number, epochLength: number, learningRate: number, optimizer: boolean): Promise<void> {
    const epoch = Math.floor(iteration / epochLength);
    await writeAside(path, async (aside) => {
      await this.#call((id) => this.#trainer.save(id, { path: aside, iteration, epoch, learningRate, optimizer }));
      await this.#lock?.held(true); // else the folder is another process's by now, which has cleared what lies aside
    });
  }
}

/**
 * Teaches CornerNet the objects of annotated pictures, as mmdetection does, and leaves checkpoints that `Detector.load` and mmdetection read. The
 * folder gets `last.pth` (with the optimizer's state), `best.pth` (of the best average precision on the validation's pictures), `log.jsonl` (a line a
 * step), `report.html` and `config.json`. Called again on the same folder it goes on after the last step saved, whatever cut it off, and comes on a
 * CPU with as many threads to the same weights.
 *
 * With `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` in the environment, as torchrun sets them, the processes train one network together: each
 * learns from its part of every batch, and the first alone keeps the folder and measures. With the device `cuda:*` every GPU of a process does so.
 *
 * @example
 * ```ts
 * const { best, bestAP } = await train({ images: 'train/', annotations: 'train.json', valImages: 'val/', valAnnotations: 'val.json', output: 'run' });
 * ```
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_INPUT` (annotations or pictures that can't be used, a loss that is not finite), `ERR_JOB` (the folder
 * is another training's, or has lost what it came to), `ERR_LOCKED`, `ERR_PEER`, `ERR_WRITE`, `ERR_CHECKPOINT`, `ERR_WEIGHTS`, `ERR_DEVICE`,
 * `ERR_OUT_OF_MEMORY`, `ERR_NOT_BUILT`, `ERR_LIBTORCH`; an abort rejects with the signal's reason.
 */
export async function train(options: TrainOptions, controls: TrainControls = {}): Promise<TrainSummary> {
  const checked = checkTrainOptions(options);
  const known = checkControls(controls, ['signal', 'finish', 'onMessage', 'onProgress']);
  known.signal?.throwIfAborted();
  return trainOn(devicesOf(checked.device ?? 'cpu', process.env), checked, known);
}

/** That this process has begun. */
let trainings = 0;

/** The same on devices that are named, each with a part of every batch, as processes that train together have it. */
export async function trainOn(devices: readonly Device[], options: TrainOptions, controls: TrainControls = {}): Promise<TrainSummary> {
  const seconds = options.joinSeconds ?? 300;
  const memberships = await membershipsOf(devices.length, membershipOf(process.env, seconds, trainings++), seconds);
  const [device] = devices;
  const isAlone = device !== undefined && devices.length === 1;
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(controls.signal ? [controls.signal] : [])]);
  const say = (memberships[0]?.rank ?? 0) === 0 ? controls.onMessage : undefined;
  const readTask = async (): ReturnType<Shared['task']> => {
    const material = await readMaterial(options, say ?? (() => undefined));
    const plan = await planOf(options, material.pictures.length, memberships[0]?.processes);
    return { material, plan, config: configOf(plan, material) };
  };
  let task: ReturnType<Shared['task']> | undefined;
  const shared: Shared = {
    ...{ options, controls: { ...controls, signal } },
    threads: isAlone ? options.threads : Math.max(1, Math.floor((options.threads ?? loadNative().buildInfo().cores) / devices.length)),
    // A detector has LibTorch's settings of the whole process as it needs them, also for the steps of other devices.
    validatesOn: isAlone ? device : 'cpu',
    task: () => (task ??= readTask()),
  };
  const run = async (one: Device, i: number): Promise<TrainSummary> => {
    try {
      return await new TrainRun(one, shared).toEnd(memberships[i]);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  };
  const ends = await Promise.allSettled(devices.map(run));
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  // When one fails the others end for its sake.
  const isForAnother = (error: unknown): boolean => error instanceof CornerNetError && error.code === 'ERR_PEER';
  if (failures.length > 0) throw failures.find((error) => !isForAnother(error)) ?? failures[0];
  return (ends[0] as PromiseFulfilledResult<TrainSummary>).value;
}
