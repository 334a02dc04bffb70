// A training: steps to the end, kept in a folder so that it goes on where it was cut off.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { abortable } from '../abort.js';
import { readAnnotations } from '../coco/dataset.js';
import { CornerNetError, fromNative } from '../errors.js';
import { FolderLock } from '../jobs/lock.js';
import { loadNative, type NativeTrainer, type NativeTrainerInfo } from '../native.js';
import { resolveWeights } from '../weights/weights.js';
import { batchesOf, type TrainBatch } from './batches.js';
import type { TrainOptions } from './interfaces.js';
import { openLog, type TrainLog } from './log.js';
import { TrainMeter } from './meter.js';
import { checkTrainOptions } from './options.js';
import { compareConfig, configOf, planOf, readConfig, writeConfig, type TrainPlan } from './plan.js';
import { classesOf, LeftOut, picturesOf, type TrainPicture } from './samples.js';
import { learningRates } from './schedule.js';
import type { TrainControls, TrainSummary } from './types.js';
import { readValidation, validate, type Validation } from './validate.js';

/** What a first start leaves that was cut off before config.json was there. */
const leftovers = /^(lock-\d+\.json|log\.jsonl|.*\.part)$/;

interface TrainFiles {
  readonly last: string;
  readonly best: string;
  readonly config: string;
  readonly report: string;
}

const filesOf = (output: string): TrainFiles => ({
  last: join(output, 'last.pth'),
  best: join(output, 'best.pth'),
  config: join(output, 'config.json'),
  report: join(output, 'report.html'),
});

/** @throws {CornerNetError} `ERR_JOB` when the folder holds something else. */
async function checkFolder(output: string, files: TrainFiles): Promise<void> {
  if (existsSync(files.config)) return;
  const other = (await readdir(output)).find((name) => !leftovers.test(name));
  if (other !== undefined) throw new CornerNetError('ERR_JOB', `${output} is no training's folder and not empty (${other})`);
}

interface Material {
  readonly pictures: readonly TrainPicture[];
  readonly classes: readonly string[];
  readonly validation: Validation | undefined;
}

async function readMaterial(options: TrainOptions, say: (text: string) => void): Promise<Material> {
  const annotations = await readAnnotations(options.annotations);
  const classes = classesOf(annotations);
  const leftOut = new LeftOut();
  const pictures = await picturesOf(annotations, options.images, leftOut);
  for (const sentence of leftOut.sentences) say(`left out: ${sentence}`);
  const { valImages, valAnnotations, threads } = options;
  const validation =
    valImages !== undefined && valAnnotations !== undefined ? await readValidation(valImages, valAnnotations, classes, threads) : undefined;
  return { pictures, classes, validation };
}

/** What a checkpoint gave, in words. */
function takenOver(from: string, { taken, drawn, hasMoments }: NativeTrainerInfo): string {
  const anew = drawn.length === 0 ? 'nothing starts anew' : `${drawn.length} start anew (${drawn.join(', ')})`;
  return `${taken} tensors were taken over from ${from}, ${anew}${hasMoments ? "; its optimizer's state goes on" : ''}`;
}

/** One start of a training whose folder is locked. */
class TrainRun {
  readonly #options: TrainOptions;
  readonly #controls: TrainControls;
  readonly #files: TrainFiles;
  readonly #say: (text: string) => void;
  readonly #trainer: NativeTrainer;
  readonly #lock: FolderLock;
  #calls = 0;

  constructor(options: TrainOptions, controls: TrainControls, lock: FolderLock) {
    this.#lock = lock;
    this.#options = options;
    this.#controls = controls;
    this.#files = filesOf(options.output);
    this.#say = controls.onMessage ?? (() => undefined);
    this.#trainer = new (loadNative().Trainer)();
  }

  async toEnd(): Promise<TrainSummary> {
    const { output } = this.#options;
    await checkFolder(output, this.#files);
    const material = await readMaterial(this.#options, this.#say);
    const plan = await planOf(this.#options, material.pictures.length);
    const config = configOf(plan, material.classes);
    const isBegun = existsSync(this.#files.config);
    if (isBegun) compareConfig(output, await readConfig(this.#files.config, 'ERR_JOB'), config);
    try {
      const info = await this.#begin(plan, material.classes);
      if (!isBegun) await writeConfig(this.#files.config, config);
      const log = await openLog(output, info.iteration);
      try {
        return await this.#goOn(plan, material, info, log);
      } finally {
        await log.file.close();
      }
    } finally {
      await this.#trainer.close();
    }
  }

  async #begin({ settings }: TrainPlan, classes: readonly string[]): Promise<NativeTrainerInfo> {
    const { last } = this.#files;
    const goesOn = existsSync(last);
    const { from, architecture, device, precision, seed, freeze } = settings;
    const begun = await this.#call(() =>
      this.#trainer.begin({
        ...(goesOn ? { from: last } : from !== undefined && { from: resolveWeights(from).path }),
        ...{ architecture, classes, device, precision, seed, threads: this.#options.threads, freezeBackbone: freeze === 'backbone' },
      }),
    );
    if (!goesOn) {
      if (from !== undefined) this.#say(takenOver(from, begun));
      return { ...begun, iteration: 0, epoch: 0 };
    }
    if (begun.drawn.length > 0 || (begun.iteration > 0 && !begun.hasMoments)) {
      throw new CornerNetError('ERR_JOB', `${last} is not of this training: it has other classes, or no optimizer to go on with`);
    }
    this.#say(`going on after step ${begun.iteration} of ${settings.iterations}`);
    return begun;
  }

  async #goOn(plan: TrainPlan, material: Material, info: NativeTrainerInfo, log: TrainLog): Promise<TrainSummary> {
    const { signal, finish } = this.#controls;
    const { settings, epochLength } = plan;
    const meter = new TrainMeter(settings.iterations, epochLength, log.validations.at(-1)?.AP, this.#controls.onProgress);
    const rates = learningRates(plan.schedule);
    for (let passed = 0; passed < info.iteration; passed++) rates.next();
    const isDue = (done: number): boolean => done === settings.iterations || done % (settings.valEvery * epochLength) === 0;
    let done = info.iteration;
    let rate = settings.learningRate;
    let saved = done;
    const save = async (): Promise<void> => {
      await log.file.sync(); // before the checkpoint says so
      await this.#save(this.#files.last, done, epochLength, rate, true);
      saved = done;
    };
    const measure = async (): Promise<void> => {
      if (!material.validation) return;
      meter.pause();
      const { AP, AP50, AP75 } = await validate(material.validation, this.#files.last, signal);
      const best = log.validations.every((earlier) => earlier.AP < AP);
      if (best) await this.#save(this.#files.best, done, epochLength, rate, false);
      const line = { iteration: done, AP, AP50, AP75, best };
      log.validations.push(line);
      await log.file.append(line);
      meter.AP = AP;
      this.#say(`step ${done}: AP ${AP.toFixed(4)}, AP50 ${AP50.toFixed(4)}${best ? ', the best so far' : ''}`);
    };
    if (done > 0 && isDue(done) && log.validations.at(-1)?.iteration !== done) await measure();
    const classIds = new Map(info.classes.map((name, id) => [name, id]));
    for await (const batch of batchesOf(material.pictures, classIds, settings, done, settings.iterations)) {
      if (finish?.aborted === true) break;
      signal?.throwIfAborted();
      rate = rates.next().value;
      const line = await this.#step(batch, plan, rate, meter);
      done = batch.iteration + 1;
      log.steps.push(line);
      await log.file.append(line);
      if (material.validation ? isDue(done) : done === settings.iterations) {
        await save();
        await measure();
      } else if (done % settings.saveEvery === 0) {
        await save();
      }
    }
    if (saved < done || !existsSync(this.#files.last)) await save();
    const best = log.validations.filter((one) => one.best).at(-1);
    const { writeTrainReport } = await import('./report.js'); // with the charts
    await writeTrainReport(this.#files, plan, material, log, signal);
    return {
      state: done === settings.iterations ? 'complete' : 'stopped',
      iteration: done,
      iterations: settings.iterations,
      classes: info.classes,
      last: this.#files.last,
      best: best ? this.#files.best : null,
      bestAP: best?.AP ?? null,
    };
  }

  async #step(batch: TrainBatch, { settings, epochLength }: TrainPlan, rate: number, meter: TrainMeter) {
    const { iteration, samples, names, failures } = batch;
    for (const { reason } of failures) this.#say(`left out in step ${iteration + 1}: ${reason}`);
    if (samples.length === 0) {
      throw new CornerNetError('ERR_INPUT', `no picture of step ${iteration + 1} can be read, the first: ${failures[0]?.reason ?? ''}`);
    }
    const augmentation = { enabled: settings.augment === 'mmdetection', size: settings.crop };
    try {
      const {
        total: loss,
        det,
        pull,
        push,
        off,
        gradientNorm,
      } = await this.#call((id) => this.#trainer.step(id, samples, augmentation, rate));
      return {
        iteration: iteration + 1,
        epoch: 1 + Math.floor(iteration / epochLength),
        loss,
        ...{ det: [...det], pull: [...pull], push: [...push], off: [...off] },
        learningRate: rate,
        gradientNorm,
        picturesPerSecond: meter.count(iteration + 1, samples.length, loss, rate),
        memory: process.memoryUsage.rss(),
        ...(failures.length > 0 && { failed: [...failures] }),
      };
    } catch (error) {
      if (!(error instanceof CornerNetError) || error.code !== 'ERR_INPUT') throw error;
      const kept = existsSync(this.#files.last) ? `; ${this.#files.last} is from before` : '';
      throw new CornerNetError('ERR_INPUT', `step ${iteration + 1}: ${error.message}; its pictures are ${names.join(', ')}${kept}`);
    }
  }

  async #save(path: string, iteration: number, epochLength: number, learningRate: number, optimizer: boolean): Promise<void> {
    await this.#lock.held(true); // else it is another process's by now
    const epoch = Math.floor(iteration / epochLength);
    await this.#call((id) => this.#trainer.save(id, { path, iteration, epoch, learningRate, optimizer }));
  }

  #call<T>(work: (id: number) => Promise<T>): Promise<T> {
    const id = ++this.#calls;
    return abortable(
      this.#controls.signal,
      () => fromNative(work(id)),
      () => this.#trainer.cancel(id),
    );
  }
}

/**
 * Teaches CornerNet the objects of annotated pictures, as mmdetection does, and leaves checkpoints that `Detector.load` and mmdetection read. The
 * folder gets `last.pth` (with the optimizer's state), `best.pth` (of the best average precision on the validation's pictures), `log.jsonl` (a line a
 * step), `report.html` and `config.json`. Called again on the same folder it goes on after the last step saved, whatever cut it off, and comes to the
 * same weights.
 *
 * @example
 * ```ts
 * const { best, bestAP } = await train({ images: 'train/', annotations: 'train.json', valImages: 'val/', valAnnotations: 'val.json', output: 'run' });
 * ```
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_INPUT` (annotations or pictures that can't be used, a loss that is not finite), `ERR_JOB` (the folder
 * is another training's), `ERR_LOCKED`, `ERR_WRITE`, `ERR_CHECKPOINT`, `ERR_WEIGHTS`, `ERR_DEVICE`, `ERR_OUT_OF_MEMORY`; an abort rejects with the
 * signal's reason.
 */
export async function train(options: TrainOptions, controls: TrainControls = {}): Promise<TrainSummary> {
  const checked = checkTrainOptions(options);
  controls.signal?.throwIfAborted();
  const lock = await FolderLock.take(checked.output, { signal: controls.signal, say: controls.onMessage });
  try {
    return await new TrainRun(checked, controls, lock).toEnd();
  } finally {
    await lock.release();
  }
}
