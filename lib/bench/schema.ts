// The benchmark's JSON: what is in it, and reading it back with every field checked.
import { z } from 'zod';

import { readJson } from '../regular-file.js';
import { validated } from '../validation.js';

const count = z.int().min(0);
const positive = z.number().positive();
const amount = z.number().min(0);
const fraction = z.number().min(0);
const precision = z.enum(['fp32', 'bf16', 'fp16', 'int8']);
const list = <T extends z.ZodType>(item: T): z.ZodReadonly<z.ZodArray<T>> => z.array(item).readonly();

/** Of one kind of measured values, all in the values' own unit. */
const summary = z.strictObject({
  count,
  mean: z.number(),
  /** Of the sample (divided by count - 1); 0 for a single value. */
  deviation: amount,
  min: z.number(),
  p50: z.number(),
  p90: z.number(),
  p95: z.number(),
  p99: z.number(),
  max: z.number(),
});

/** What a window saw besides the measured work. */
const disturbance = z.strictObject({
  /** Fraction of the machine's CPU time that the hypervisor gave to others; null where the system doesn't tell. */
  steal: fraction.nullable(),
  /** Fraction of the machine's CPU time that other processes took. */
  others: fraction.nullable(),
  /** MHz of the GPU's multiprocessors at the window's end. */
  gpuMhz: amount.nullable(),
  /** Why the window doesn't count; empty when it does. */
  reasons: list(z.string()),
});

/** What was measured in one window; the median is of its values. */
const window = z.strictObject({ seconds: positive, median: positive, count, disturbance });

/** Values of one kind, all windows together, and what is to be thought of them. */
const series = z.strictObject({
  /** Of the undisturbed windows; of all when each was disturbed. */
  summary,
  /** What the summary is made of. */
  values: list(z.number()),
  windows: list(window),
  /** Whether the last three windows that count agreed. */
  stable: z.boolean(),
  /** Whether the summary leaves the disturbed windows out. */
  undisturbed: z.boolean(),
  warmUpCalls: count,
});

const clocks = z.enum(['locked', 'floating', 'unknown']);

const gpu = z.strictObject({
  name: z.string(),
  driver: z.string(),
  memoryBytes: amount,
  /** MHz at the moment of asking, and the highest possible. */
  clockMhz: amount.nullable(),
  maxClockMhz: amount.nullable(),
  /** 'locked' when nvidia-smi holds an application clock that is in force; nobody can be sure of 'floating'. */
  clocks,
});

const machine = z.strictObject({
  cpu: z.string(),
  /** That this process may use. */
  cores: count,
  /** null where nobody noted it. */
  memoryBytes: count.nullable(),
  cpuFeatures: list(z.string()),
  /** MHz of the cores at the beginning; null where the system doesn't tell. */
  cpuMhz: list(amount).nullable(),
  /** The cores' clocks: 'locked' when lowest and highest allowed frequency are one, 'unknown' in most virtual machines. */
  cpuClocks: clocks,
  /** One, five and fifteen minutes, before the measurement. */
  load: list(amount),
  kernel: z.string(),
  node: z.string(),
  cornernet: z.string(),
  libtorch: z.string(),
  /** LibTorch's; null for a build without. */
  cuda: z.string().nullable(),
  gpus: list(gpu),
});

const peak = z.strictObject({
  device: z.string(),
  precision,
  threads: count,
  /** FLOP/s of the best round of a product of square matrices with sides of matmulSide. */
  matmul: positive,
  matmulSide: count,
  /** FLOP/s of the best round of a 3x3 convolution of 256 channels, whose weights are packed once; null where it was not measured. */
  conv: positive.nullable(),
  /** Bytes/s, read and written, of the best round of a copy of copyBytes. */
  copy: positive,
  copyBytes: count,
  /** What else the machine did while the peaks were taken; empty for nothing to speak of, absent when nobody watched. */
  disturbed: list(z.string()).optional(),
});

const setup = {
  weights: z.string(),
  device: z.string(),
  precision,
  threads: count,
};

const modelResult = z.strictObject({
  ...setup,
  width: count,
  height: count,
  paddedWidth: count,
  paddedHeight: count,
  /** A picture: 1, or 2 with the mirrored one. */
  views: z.int().min(1).max(2),
  /** That each of them is made at; absent for the picture's own size alone. */
  scales: list(positive).optional(),
  batch: z.int().min(1),
  /** Milliseconds of a call with `batch` pictures. */
  latency: series,
  picturesPerSecond: positive,
  /** Medians in milliseconds: where a call goes. */
  stages: z.strictObject({ prepare: amount, network: amount, corners: amount, nms: amount, rest: amount }),
  /** Of one forward, as counted. */
  flops: positive,
  bytes: positive,
  /** FLOP/s of the network alone, by the median. */
  achieved: positive,
  /** Of the measured compute peak: matmul's or conv's, whichever is higher. */
  ofPeak: positive,
  weightsBytes: count,
});

const timed = z.strictObject({ backToBack: summary, cold: summary });

const kernelResult = z.strictObject({
  ...setup,
  /** 'conv 3x3 256 to 256 +add +relu'. */
  name: z.string(),
  /** 'n x channels x height x width' of the input. */
  shape: z.string(),
  op: z.enum(['conv', 'pool_pair', 'upsample_add']),
  /** How often it is in one forward. */
  calls: count,
  flops: positive,
  bytes: positive,
  /** Seconds of a call. */
  ours: timed,
  aten: timed,
  copy: timed,
  /** FLOP/s and bytes/s, by the median of the back-to-back calls. */
  achieved: positive,
  bandwidth: positive,
  /** Of what the roofline allows at this intensity. */
  ofRoof: positive,
  /** Of the verification, as a fraction of what is allowed. */
  largestError: fraction.max(1),
  /** Written elsewhere before each cold call. */
  coldBytes: count,
  /** What else the machine did meanwhile; empty for nothing to speak of. */
  disturbed: list(z.string()),
});

const stage = z.enum(['decode', 'wait', 'prepare', 'network', 'corners', 'nms', 'write']);

const pipelineResult = z.strictObject({
  ...setup,
  batch: count,
  concurrency: count.nullable(),
  views: z.int().min(1).max(2),
  files: count,
  /** All of the measured time, failed ones included. */
  pictures: count,
  failed: count,
  seconds: positive,
  /** Pictures a second, one value a window. */
  throughput: series,
  /** What the network would do if it never waited: pictures by the sum of its forwards. */
  networkAlone: positive,
  /** throughput by networkAlone. */
  ofNetworkAlone: positive,
  stages: list(
    z.strictObject({
      stage,
      /** Fraction of the time with at least one picture in it. */
      busy: fraction,
      /** Pictures in it on average. */
      depth: amount,
      milliseconds: summary,
    }),
  ),
  /** The first pictures after warming up: begin and end in milliseconds since the first of them; a picture that failed did so at one moment. */
  timeline: list(z.strictObject({ stage: z.enum([...stage.options, 'failed']), picture: count, begin: z.number(), end: z.number() })),
  /** Milliseconds. */
  loopDelay: z.strictObject({ p50: amount, p99: amount, max: amount }),
  peakMemoryBytes: count,
});

const trainResult = z.strictObject({
  network: z.enum(['hourglass104', 'small']),
  device: z.string(),
  precision,
  threads: count,
  /** Pixels of a side of what the network sees. */
  size: count,
  batch: z.int().min(1),
  recompute: z.boolean(),
  /** Numbers that are learned. */
  parameters: count,
  /** Milliseconds of a step. */
  step: series,
  picturesPerSecond: positive,
  peakMemoryBytes: count,
});

/** A candidate that took turns with the others of its case. */
const turnsResult = z.strictObject({
  case: z.string(),
  /** What else must be equal for figures to be compared. */
  setting: z.string(),
  candidate: z.string(),
  /** Of what ran; null for the machine's cornernet. */
  version: z.string().nullable(),
  /** Of a turn: one value, and one window, a round. */
  seconds: series,
  /** What else each turn told, by names that end in their unit, as peakBytes; one value where it is told once. */
  figures: z.record(z.string(), list(z.number())),
});

const ratio = z.strictObject({
  case: z.string(),
  what: z.enum(['speed', 'memory']),
  ours: z.string(),
  peer: z.string(),
  /** How many times as fast as the peer (the median of the rounds' ratios), or how many times its memory; null where one was not measured. */
  ratio: positive.nullable(),
  /** At least so fast, at most so much memory; null for none set. */
  goal: positive.nullable(),
  met: z.boolean().nullable(),
});

const common = {
  format: z.literal('cornernet-bench'),
  version: z.literal(1),
  /** ISO 8601, UTC. */
  date: z.iso.datetime(),
  machine,
  peaks: list(peak),
};

const insideTheClock = z.string();
const method = z.strictObject({
  insideTheClock,
  windowSeconds: positive,
  /** null where there are no windows: an operator's rounds are its windows. */
  stableWithin: fraction.nullable(),
  limitSeconds: positive,
});

const reportSchema = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, method, kind: z.literal('model'), results: list(modelResult) }),
  z.strictObject({ ...common, method, kind: z.literal('kernels'), results: list(kernelResult) }),
  z.strictObject({ ...common, method, kind: z.literal('pipeline'), results: list(pipelineResult) }),
  z.strictObject({ ...common, method, kind: z.literal('train'), results: list(trainResult) }),
  z.strictObject({
    ...common,
    /** Undisturbed rounds, as far as they could be had. */
    method: z.strictObject({ insideTheClock, rounds: z.int().min(1) }),
    kind: z.enum(['batch', 'eval', 'import', 'load', 'peers', 'soak', 'training']),
    results: list(turnsResult),
    ratios: list(ratio),
    /** Candidates that could not be run, and why. */
    missing: list(z.strictObject({ case: z.string(), candidate: z.string(), reason: z.string() })),
  }),
]);

export type Summary = z.infer<typeof summary>;
export type Disturbance = z.infer<typeof disturbance>;
export type Window = z.infer<typeof window>;
export type Series = z.infer<typeof series>;
export type Gpu = z.infer<typeof gpu>;
export type Machine = z.infer<typeof machine>;
export type Report = Readonly<z.infer<typeof reportSchema>>;
export type ModelReport = Extract<Report, { kind: 'model' }>;
export type KernelsReport = Extract<Report, { kind: 'kernels' }>;
export type PipelineReport = Extract<Report, { kind: 'pipeline' }>;
export type TrainReport = Extract<Report, { kind: 'train' }>;
export type TrainResult = z.infer<typeof trainResult>;
/** Of the developers' measurements in bench/. */
export type TurnsReport = Extract<Report, { readonly ratios: unknown }>;
export type TurnsResult = z.infer<typeof turnsResult>;
export type Ratio = z.infer<typeof ratio>;
export type ModelResult = z.infer<typeof modelResult>;

/** `2`, or `2 at 0.5, 1` with several scales. */
export function shownViews({ views, scales }: { readonly views: number; readonly scales?: readonly number[] | undefined }): string {
  return scales ? `${views} at ${scales.join(', ')}` : String(views);
}

/** What was trained how, but for device and threads, which one report has in common. */
export function trainName({ network, precision, recompute, size, batch }: Omit<TrainResult, 'device' | 'threads'>): string {
  return `${network} ${precision}${recompute ? ' recompute' : ''} ${size} px batch ${batch}`;
}
export type KernelResult = z.infer<typeof kernelResult>;
export type PipelineResult = z.infer<typeof pipelineResult>;
export type Peak = z.infer<typeof peak>;
export type Stage = z.infer<typeof stage>;
export type FixedPrecision = z.infer<typeof precision>;
/** What training is measured in. */
export type TrainPrecision = Exclude<FixedPrecision, 'int8'>;

/** What every report begins with. */
export function reportHead(): { format: 'cornernet-bench'; version: 1; date: string } {
  return { format: 'cornernet-bench', version: 1, date: new Date().toISOString() };
}

/** @throws {CornerNetError} `ERR_INPUT` naming the field that isn't what it should be. */
export function checkReport(value: unknown, name: string): Report {
  return validated(reportSchema, value, { code: 'ERR_INPUT', what: `${name} is not a report of cornernet bench:` });
}

/** As {@link checkReport}, of a file. */
export async function readReport(file: string): Promise<Report> {
  return checkReport(await readJson(file), file);
}
