// What a training does, spelt out from what was asked for: presets, epochs as steps, the learning rate for the batch. It is kept as config.json.
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';

import { z } from 'zod';

import { difference, refuseDifferences } from '../begun-otherwise.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import { packageVersion } from '../package.js';
import { writeText } from '../output-file.js';
import { readJson, readText } from '../regular-file.js';
import { validated } from '../validation.js';
import { findWeights, resolveWeights, sha256 } from '../weights/weights.js';
import type { TrainOptions } from './interfaces.js';
import { checkTrainOptions } from './options.js';
import { fineTuning, presets, type Stated } from './presets.js';
import type { TrainPicture } from './samples.js';
import type { Schedule } from './schedule.js';
import type { Validation } from './validate.js';

/** Every option that matters, with its value: not where its folder is or how fast it is computed, with which a training may go on otherwise. */
export type TrainSettings = Pick<
  TrainOptions,
  'images' | 'annotations' | 'valImages' | 'valAnnotations' | 'from' | 'architecture' | 'freeze'
> &
  Stated<'iterations' | 'batchSize' | 'learningRate' | 'warmup' | 'milestones' | 'augment' | 'crop' | 'seed' | 'precision' | 'device'> &
  Stated<'valEvery' | 'saveEvery'>;

export interface TrainPlan {
  readonly settings: TrainSettings;
  /** Steps in which every picture is seen once. */
  readonly epochLength: number;
  readonly schedule: Schedule;
  /** That train together. */
  readonly processes: number;
  /** sha256 of the checkpoint that it begins with. */
  readonly fromSha256: string | null;
}

/** What there is to learn from, and to measure on. */
export interface TrainMaterial {
  readonly pictures: readonly TrainPicture[];
  readonly classes: readonly string[];
  readonly validation: Validation | undefined;
}

/** @param pictures that there are to learn from. @param processes that train together. */
export async function planOf(options: TrainOptions, pictures: number, processes = 1): Promise<TrainPlan> {
  const { images, annotations, valImages, valAnnotations, from, freeze } = options;
  const preset = options.preset ? presets[options.preset] : from === undefined ? presets.small : fineTuning;
  const batchSize = options.batchSize ?? preset.batchSize;
  const epochLength = Math.ceil(pictures / (batchSize * processes));
  const iterations = options.iterations ?? (options.epochs ?? preset.epochs) * epochLength;
  const milestones = options.milestones ?? preset.milestones;
  const learningRate = options.learningRate ?? preset.ratePerPicture * batchSize * processes;
  const settings: TrainSettings = {
    ...{ images, annotations, valImages, valAnnotations, from },
    architecture: from === undefined ? (options.architecture ?? preset.architecture) : undefined,
    ...{ batchSize, iterations, learningRate, milestones },
    warmup: options.warmup ?? Math.min(500, Math.floor(iterations / 10)),
    augment: options.augment ?? 'mmdetection',
    crop: options.crop ?? preset.crop,
    seed: options.seed ?? 0,
    freeze,
    precision: options.precision ?? 'fp32',
    device: options.device ?? 'cpu',
    valEvery: options.valEvery ?? 1,
    saveEvery: options.saveEvery ?? 500,
  };
  return {
    settings,
    epochLength,
    processes,
    schedule: {
      rate: learningRate,
      warmup: settings.warmup,
      milestones: milestones.map(([part, factor]) => [Math.round(part * iterations), factor] as const),
    },
    fromSha256: from === undefined ? null : await sha256(resolveWeights(from).path),
  };
}

const configSchema = z.object({
  version: z.literal(1),
  cornernet: z.string(),
  fromSha256: z.string().nullable(),
  classes: z.array(z.string()),
  /** Of what the annotation files say, by their options' names. */
  annotationsSha256: z.record(z.string(), z.string()).optional(),
  processes: z.int().min(1).default(1),
  options: z.record(z.string(), z.unknown()),
});

/** A run's config.json. */
export type TrainConfig = z.infer<typeof configSchema>;

const located = new Set<string>(['images', 'annotations', 'valImages', 'valAnnotations', 'from']);

/** A path in full, for whoever reads it from another folder; any other value as it is. */
function placed(name: string, value: unknown): unknown {
  const isPath = typeof value === 'string' && located.has(name) && !(name === 'from' && findWeights(value));
  return isPath ? resolve(value) : value;
}

function digestOf(parts: readonly unknown[]): string {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(JSON.stringify(part));
  return digest.digest('hex');
}

export function configOf({ settings, processes, fromSha256 }: TrainPlan, { pictures, classes, validation }: TrainMaterial): TrainConfig {
  const annotationsSha256 = {
    annotations: digestOf(pictures.map(({ name, objects }) => [name, objects])),
    ...(validation && { valAnnotations: digestOf([validation.annotations]) }),
  };
  const options = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, placed(name, value)]));
  return { version: 1, cornernet: packageVersion(), fromSha256, classes: [...classes], annotationsSha256, processes, options };
}

export function writeConfig(file: string, config: TrainConfig): Promise<void> {
  return writeText(file, `${JSON.stringify(config, null, 2)}\n`);
}

/** @throws {CornerNetError} `ERR_JOB` when the file is there but is none. */
export async function readConfig(file: string): Promise<TrainConfig> {
  try {
    const value = JSON.parse(await readText(file)) as unknown;
    return validated(configSchema, value, { code: 'ERR_JOB', what: `${file}:` });
  } catch (error) {
    if (error instanceof CornerNetError) throw error;
    throw new CornerNetError('ERR_JOB', `${file} can't be read as a training's configuration: ${sentenceOf(error)}`, { cause: error });
  }
}

/** The options of a configuration file, be it a run's config.json or options alone, without those that say where a run is. */
export async function optionsIn(file: string): Promise<Partial<TrainOptions>> {
  const value = await readJson(file);
  const options = configSchema.safeParse(value).success ? (value as TrainConfig).options : value;
  const stated = validated(z.record(z.string(), z.unknown()), options, { code: 'ERR_INPUT', what: `${file}:` });
  const checked = checkTrainOptions({ images: '-', annotations: '-', output: '-', ...stated });
  return Object.fromEntries(Object.entries(checked).filter(([name]) => name in stated && name !== 'output'));
}

/** What differs, as sentences. Files may have moved, but for what an earlier version began, which knew them by their paths alone. */
export function configDifferences(was: TrainConfig, now: TrainConfig): string[] {
  const byPaths = was.annotationsSha256 === undefined;
  const plain = JSON.parse(JSON.stringify(now)) as TrainConfig;
  const names = [...new Set([...Object.keys(was.options), ...Object.keys(plain.options)])];
  return [
    ...names
      .filter((name) => byPaths || !located.has(name))
      .map((name) => difference(name, placed(name, was.options[name]), plain.options[name])),
    difference('the checkpoint to begin with (sha256)', was.fromSha256, plain.fromSha256),
    difference('the classes', was.classes, plain.classes),
    difference('the number of processes', was.processes, plain.processes),
    ...Object.entries(was.annotationsSha256 ?? {}).map(([name, digest]) =>
      (plain.annotationsSha256?.[name] ?? digest) === digest ? undefined : `${String(plain.options[name])} has other annotations`,
    ),
  ].filter((sentence) => sentence !== undefined);
}

/** @throws {CornerNetError} `ERR_JOB` saying what differs. */
export function compareConfig(folder: string, was: TrainConfig, now: TrainConfig): void {
  const [before, after] = [was.options['valAnnotations'], now.options['valAnnotations']];
  const validation = (before === undefined) === (after === undefined) ? undefined : difference('valAnnotations', before, after);
  refuseDifferences(`the training in ${folder}`, [...configDifferences(was, now), validation]);
}
