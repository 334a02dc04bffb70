// What a detector can be asked for: every option's meaning, default and check.
import { z } from 'zod';

import { CornerNetError } from './errors.js';

/** Which of mmdetection's versions is reproduced where they differ: padding, normalising and merging of flipped views. */
export type Numerics = 'mmdet2' | 'mmdet3';

/** Arithmetic of the network. 'auto' is fp16 on CUDA, bf16 on a CPU with native bf16, else fp32. */
export type Precision = 'auto' | 'fp32' | 'bf16' | 'fp16';

/** 'auto' takes the first usable CUDA device, else the CPU; 'cuda:*' is a replica on every usable CUDA device. */
export type Device = 'auto' | 'cpu' | 'cuda' | 'cuda:*' | `cuda:${number}`;

/** Soft non-maximum suppression, as mmcv computes it. */
export interface SoftNmsOptions {
  /** Default 'gaussian'. */
  readonly method?: 'gaussian' | 'linear' | 'naive' | undefined;
  /** Overlap from which 'linear' and 'naive' act. Default 0.5. */
  readonly iouThreshold?: number | undefined;
  /** Width of 'gaussian'. Default 0.5. */
  readonly sigma?: number | undefined;
  /** Boxes that decay below it are dropped. Default 0.001. */
  readonly minScore?: number | undefined;
}

/** Options that each call may set anew; unset ones keep what `Detector.load` was given. */
export interface DetectOptions {
  /** Also look at the mirrored picture and merge (test-time augmentation). Default: the weights' own configuration (true for the published ones). */
  readonly flip?: boolean | undefined;
  /** Default 'mmdet2', which the published AP was measured with. */
  readonly numerics?: Numerics | undefined;
  /** Detections below it are left out; 0 returns all that mmdetection returns. Default 0.3 (0.5 for the digits). */
  readonly scoreThreshold?: number | undefined;
  /** At most so many detections a picture. Default 100. */
  readonly maxPerImage?: number | undefined;
  /** Corners considered of each kind. Default 100. */
  readonly cornerTopk?: number | undefined;
  /** Largest difference of the embeddings of two corners that make a box. Default 0.5. */
  readonly distanceThreshold?: number | undefined;
  readonly softNms?: SoftNmsOptions | undefined;
  /** Classes to keep, by name or id; the others are left out of the result. Default: all. */
  readonly classes?: readonly (string | number)[] | undefined;
  /** Measure the stages: each result then carries `timings`. On CUDA this adds events and one wait a forward. Default false. */
  readonly timings?: boolean | undefined;
  /** Pictures with more pixels are refused. Default 50,000,000. */
  readonly maxPixels?: number | undefined;
}

/** Options of `Detector.load`. */
export interface LoadOptions extends DetectOptions {
  /** One device, or one for each replica: batches go to whichever is free. Default 'auto'. */
  readonly device?: Device | readonly Device[] | undefined;
  /** Default 'auto'. */
  readonly precision?: Precision | undefined;
  /** CPU threads of the network. Default: the cores this process may use (affinity and cgroup quota), shared among CPU replicas. */
  readonly threads?: number | undefined;
  /** On CUDA in fp32: lets convolutions round their inputs to TF32 (from sm_80), which is faster and less exact. Default false: true fp32. */
  readonly tf32?: boolean | undefined;
  /** On CUDA: only algorithms that give the same bits each time, at some cost in speed. The CPU's do anyway. Default false. */
  readonly deterministic?: boolean | undefined;
  /** On CUDA: records the forward of each input size when it comes again and replays it, which spares the launches. Default true. */
  readonly cudaGraphs?: boolean | undefined;
  /** Names by class id, instead of the checkpoint's. */
  readonly classNames?: readonly string[] | undefined;
  /** Mean of each channel, in the network's channel order, 0 to 255. Default: the checkpoint's, else 123.675, 116.28, 103.53. */
  readonly mean?: readonly [number, number, number] | undefined;
  /** Standard deviation of each channel. Default: the checkpoint's, else 58.395, 57.12, 57.375. */
  readonly std?: readonly [number, number, number] | undefined;
  /** Whether the network takes RGB (else BGR). Default: the checkpoint's, else true. */
  readonly toRgb?: boolean | undefined;
  /**
   * Pictures that share a forward in `detectAll`, when their padded sizes agree; forwards that the memory doesn't hold are split. 'auto' takes what the
   * memory holds, up to 32 on CUDA and 8 on the CPU. Default 1 on the CPU, 8 on CUDA.
   */
  readonly batchSize?: number | 'auto' | undefined;
}

/** `AbortSignal` of a call. */
export interface Abortable {
  /** Rejects the call at once with the signal's reason, also during a forward, whose result is dropped. */
  readonly signal?: AbortSignal | undefined;
}

const positiveInt = z.int().min(1);
const finite = z.number();
const triple = z.tuple([finite, finite, finite]).readonly();
const device = z.string().regex(/^(auto|cpu|cuda(:(\d{1,3}|\*))?)$/, "must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'cuda:*'");

const softNms = z.strictObject({
  method: z.enum(['gaussian', 'linear', 'naive']).optional(),
  iouThreshold: finite.min(0).max(1).optional(),
  sigma: finite.positive().optional(),
  minScore: finite.min(0).optional(),
});

const detectShape = {
  flip: z.boolean().optional(),
  numerics: z.enum(['mmdet2', 'mmdet3']).optional(),
  scoreThreshold: finite.min(0).max(1).optional(),
  maxPerImage: positiveInt.max(100_000).optional(),
  cornerTopk: positiveInt.max(10_000).optional(),
  distanceThreshold: finite.min(0).optional(),
  softNms: softNms.optional(),
  classes: z
    .array(z.union([z.string(), z.int().min(0)]))
    .min(1)
    .readonly()
    .optional(),
  timings: z.boolean().optional(),
  maxPixels: positiveInt.optional(),
};

const batchSize = z
  .union([positiveInt.max(1024), z.literal('auto')], { error: "must be 'auto' or a whole number from 1 to 1024" })
  .optional();
const signal = z.instanceof(AbortSignal).optional();

const detectSchema = z.strictObject({ ...detectShape, signal });
const loadSchema = z.strictObject({
  ...detectShape,
  device: z
    .union([device, z.array(device).min(1).readonly()], {
      error: "must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'cuda:*', or an array of them",
    })
    .optional(),
  precision: z.enum(['auto', 'fp32', 'bf16', 'fp16']).optional(),
  threads: positiveInt.max(1024).optional(),
  tf32: z.boolean().optional(),
  deterministic: z.boolean().optional(),
  cudaGraphs: z.boolean().optional(),
  classNames: z.array(z.string().min(1)).min(1).readonly().optional(),
  mean: triple.optional(),
  std: z.tuple([finite.positive(), finite.positive(), finite.positive()]).readonly().optional(),
  toRgb: z.boolean().optional(),
  batchSize,
  signal,
});
const detectAllSchema = z.strictObject({
  ...detectShape,
  signal,
  concurrency: positiveInt.max(1024).optional(),
  batchSize,
});

/** What was given, shortened for a message. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : ((JSON.stringify(value) as string | undefined) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function at(options: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], options);
}

function check<T>(schema: z.ZodType<T>, options: unknown): T {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (!issue) throw new CornerNetError('ERR_OPTION', 'the options are invalid');
  if (issue.code === 'unrecognized_keys') throw new CornerNetError('ERR_OPTION', `there is no option ${issue.keys.join(', ')}`);
  const name = issue.path.join('.') || 'options';
  throw new CornerNetError('ERR_OPTION', `option ${name} is ${shown(at(options, issue.path))}: ${issue.message}`);
}

/** @throws {CornerNetError} `ERR_OPTION` naming the option, what it was and what is allowed. */
export function checkLoadOptions(options: unknown): LoadOptions & Abortable {
  return check(loadSchema, options) as LoadOptions & Abortable;
}

/** As {@link checkLoadOptions}, for one call. */
export function checkDetectOptions(options: unknown): DetectOptions & Abortable {
  return check(detectSchema, options);
}

/** Options of `Detector.detectAll`. */
export interface DetectAllOptions extends DetectOptions, Abortable {
  /** Pictures decoded ahead of the network. Default: twice the cores, at least two batches for each replica; never less than one batch for each. Bounds memory. */
  readonly concurrency?: number | undefined;
  /** As in `Detector.load`. */
  readonly batchSize?: number | 'auto' | undefined;
}

/** As {@link checkLoadOptions}, for `detectAll`. */
export function checkDetectAllOptions(options: unknown): DetectAllOptions {
  return check(detectAllSchema, options);
}

/** Class ids of names and ids. */
export function resolveClasses(wanted: readonly (string | number)[], names: readonly string[]): number[] {
  return wanted.map((one) => {
    const id = typeof one === 'number' ? one : names.indexOf(one);
    if (id >= 0 && id < names.length) return id;
    const known = names.slice(0, 12).join(', ') + (names.length > 12 ? ', ...' : '');
    throw new CornerNetError(
      'ERR_OPTION',
      `option classes has ${shown(one)}, but these weights detect ${known} (ids 0 to ${names.length - 1})`,
    );
  });
}
