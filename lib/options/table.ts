// The one table of a detector's options. Validation, flags and help are derived from it here and in flags.ts; scripts/generate-options.ts writes the
// types and their documentation (interfaces.ts).
import { z } from 'zod';

/** How the command line takes a value. */
export type FlagKind =
  | 'on' // --name turns it on
  | 'off' // --no-name turns it off
  | 'either' // --name and --no-name
  | 'number'
  | 'number|auto'
  | 'text'
  | 'list' // separated by commas
  | 'numbers'; // a list of them

export interface OptionRow<T = unknown> {
  readonly schema: z.ZodType<T>;
  /** The same as TypeScript writes it. */
  readonly type: string;
  /** What it does, for the help and the reference alike. */
  readonly about: string;
  /** The default in words; empty where there is none. */
  readonly standard: string;
  /** Heading in the help. */
  readonly group: string;
  readonly flag?: FlagKind;
  /** Whether the group of options that it belongs to can't do without it. */
  readonly required?: true;
  /** The flag's name (camelCase) where it is not the option's, and its letter. */
  readonly flagName?: string;
  readonly short?: string;
  /** The value of the flag's text. */
  readonly parse?: (text: string) => unknown;
  /** What stands for the value in the help. */
  readonly placeholder?: string;
}

export type OptionTable = Readonly<Record<string, OptionRow>>;

/** The rows with what heads them in the help. */
export function headed<const Rows extends Readonly<Record<string, Omit<OptionRow, 'group'>>>>(group: string, rows: Rows) {
  return Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, { ...row, group }])) as {
    readonly [Name in keyof Rows]: Rows[Name] & { readonly group: string };
  };
}

// The limits of what the addon takes are its own too (csrc/ops/settings.h).
const whole = (most: number): z.ZodInt => z.int().min(1).max(most);
const deviceSentence = "must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'cuda:*', or an array of them";
/** Off by itself; in a call `false` takes back what `load` was given. */
const orFalse = <T extends z.ZodType>(schema: T): z.ZodUnion<readonly [z.ZodLiteral<false>, T]> => z.union([z.literal(false), schema]);
const device = z.string().regex(/^(auto|cpu|cuda(:(\d{1,3}|\*))?)$/, deviceSentence);

/** `threads` of work that has one network. */
export const threadsRow = {
  schema: whole(1024),
  type: 'number',
  flag: 'number',
  about: 'CPU threads',
  standard: 'the cores this process may use',
} as const;

/** `softNms`: soft non-maximum suppression, as mmcv computes it. */
export const softNmsTable = {
  method: {
    schema: z.enum(['gaussian', 'linear', 'naive']),
    type: "'gaussian' | 'linear' | 'naive'",
    about: 'how scores decay: gaussian, linear or naive',
    standard: 'gaussian',
    group: 'Results',
    flag: 'text',
  },
  iouThreshold: {
    schema: z.number().min(0).max(1),
    type: 'number',
    about: 'overlap from which linear and naive act',
    standard: '0.5',
    group: 'Results',
    flag: 'number',
  },
  sigma: {
    schema: z.number().min(1e-6).max(1e30),
    type: 'number',
    about: 'width of gaussian',
    standard: '0.5',
    group: 'Results',
    flag: 'number',
  },
  minScore: {
    schema: z.number().min(0).max(1e30),
    type: 'number',
    about: 'drop boxes that decay below it',
    standard: '0.001',
    group: 'Results',
    flag: 'number',
  },
} as const satisfies OptionTable;

/** `tiles`: a large picture in overlapping squares. */
export const tilesTable = {
  size: {
    schema: z.int().min(64).max(16_384),
    type: 'number',
    about:
      'cut larger pictures into overlapping tiles of so many pixels a side, each of which the network sees by itself; 127, 255, 383, 511, ... need no padding',
    standard: 'off',
    group: 'Pictures',
    flag: 'number',
    placeholder: 'px',
    required: true,
  },
  overlap: {
    schema: z.int().min(0),
    type: 'number',
    about: 'pixels that neighbouring tiles share, at most half a tile: objects up to this size are whole in one of them',
    standard: 'a quarter of the tile',
    group: 'Pictures',
    flag: 'number',
    placeholder: 'px',
  },
} as const satisfies OptionTable;

/** Options that `load` takes and each call may set anew. */
export const callTable = {
  flip: {
    schema: z.boolean(),
    type: 'boolean',
    about: 'also look at the mirrored picture and merge (test-time augmentation)',
    standard: "the weights' own configuration: on for the published ones",
    group: 'Network',
    flag: 'either',
  },
  scales: {
    schema: z.array(z.number().min(0.1).max(4)).min(1).max(16).readonly(),
    type: 'readonly number[]',
    about:
      "look at each picture at several scales (0.1 to 4 of its size) and merge (test-time augmentation): the published network's AP of 42.2 is with 0.5, 0.75, 1, 1.25 and 1.5",
    standard: '1',
    group: 'Network',
    flag: 'numbers',
    placeholder: 'list',
  },
  numerics: {
    schema: z.enum(['mmdet2', 'mmdet3']),
    type: 'Numerics',
    about: "which mmdetection's padding, normalising and merging: mmdet2, which the published AP was measured with, or mmdet3",
    standard: 'mmdet2',
    group: 'Network',
    flag: 'text',
    placeholder: 'version',
  },
  scoreThreshold: {
    schema: z.number().min(0).max(1),
    type: 'number',
    about: 'leave out detections below it; 0 keeps all that mmdetection returns',
    standard: '0.3, digits 0.5',
    group: 'Results',
    flag: 'number',
  },
  maxPerImage: {
    schema: whole(100_000),
    type: 'number',
    about: 'at most so many detections a picture',
    standard: "the checkpoint's, else 100",
    group: 'Results',
    flag: 'number',
  },
  cornerTopk: {
    schema: whole(10_000),
    type: 'number',
    about: 'corners considered of each kind',
    standard: "the checkpoint's, else 100",
    group: 'Results',
    flag: 'number',
  },
  distanceThreshold: {
    schema: z.number().min(0).max(1e30),
    type: 'number',
    about: 'largest difference of the embeddings of two corners that make a box',
    standard: "the checkpoint's, else 0.5",
    group: 'Results',
    flag: 'number',
  },
  softNms: {
    schema: z.strictObject(shapeOf(softNmsTable)),
    type: 'SoftNmsOptions',
    about: 'soft non-maximum suppression',
    standard: "the checkpoint's, else mmdetection's",
    group: 'Results',
  },
  classes: {
    schema: orFalse(
      z
        .array(z.union([z.string(), z.int().min(0)]))
        .min(1)
        .readonly(),
    ),
    type: 'readonly (string | number)[] | false',
    about: 'classes to keep, by name or id; the others are left out',
    standard: 'all',
    group: 'Results',
    flag: 'list',
  },
  timings: {
    schema: z.boolean(),
    type: 'boolean',
    about: 'measure the stages; each result then has them (on CUDA this adds events and one wait a forward)',
    standard: 'off',
    group: 'Results',
    flag: 'on',
  },
  maxPixels: {
    schema: z.int().min(1),
    type: 'number',
    about: 'refuse pictures with more pixels',
    standard: '50,000,000',
    group: 'Pictures',
    flag: 'number',
  },
  timeout: {
    schema: z.number().min(0).max(3600),
    type: 'number',
    about: 'seconds that reading a picture may take, and decoding it; it fails when they are over; 0 for any time',
    standard: '60',
    group: 'Pictures',
    flag: 'number',
    placeholder: 's',
  },
  maxSide: {
    schema: orFalse(z.int().min(16).max(65_536)),
    type: 'number | false',
    about: "scale larger pictures down so that their longer side has so many pixels; boxes stay in the picture's own pixels",
    standard: 'off',
    group: 'Pictures',
    flag: 'number',
    placeholder: 'px',
  },
  scale: {
    schema: z.number().min(0.05).max(4),
    type: 'number',
    about:
      "scale pictures by this factor (0.05 to 4) before the network, or by less where maxSide asks for it; boxes stay in the picture's own pixels",
    standard: '1',
    group: 'Pictures',
    flag: 'number',
    placeholder: 'factor',
  },
  tiles: {
    schema: orFalse(
      z
        .strictObject(shapeOf(tilesTable))
        .refine(({ size, overlap = 0 }) => 2 * overlap <= size, { path: ['overlap'], error: 'must be at most half of size' }),
    ),
    type: 'TileOptions | false',
    about: 'cut large pictures into overlapping tiles, whose boxes are merged by soft non-maximum suppression; after maxSide and scale',
    standard: 'off',
    group: 'Pictures',
  },
} as const satisfies OptionTable;

/** Pictures that share a forward: of `load`, and anew of `detectAll`. */
const batchSize = {
  schema: z.union([whole(1024), z.literal('auto')], { error: "must be 'auto' or a whole number from 1 to 1024" }),
  type: "number | 'auto'",
  about:
    'pictures of one padded size that share a forward, in detectAll and of detect calls that wait while the device is busy; forwards that memory does not hold are split; auto: what memory holds, up to 32 on CUDA, 8 on the CPU',
  standard: 'in detectAll 1 on the CPU, 8 on CUDA; among waiting calls of detect auto',
  group: 'Device',
  flag: 'number|auto',
} as const satisfies OptionRow;

const mean = z.number().min(-1e6).max(1e6);
const deviation = z.number().min(1e-6).max(1e6);

/** Options that belong to `Detector.load` alone. */
export const loadTable = {
  device: {
    schema: z.union([device, z.array(device).min(1).readonly()], { error: deviceSentence }),
    type: 'Device | readonly Device[]',
    about: 'auto, cpu, cuda, cuda:N or cuda:* (every CUDA device); several make replicas, and batches go to whichever is free',
    standard: 'auto: the first usable CUDA device, else the CPU',
    group: 'Device',
    flag: 'list',
    placeholder: 'device',
  },
  precision: {
    schema: z.enum(['auto', 'fp32', 'bf16', 'fp16', 'int8']),
    type: 'Precision',
    about: "the network's arithmetic: auto, fp32, bf16, fp16, or int8 on the CPU with weights that `quantize` calibrated",
    standard: 'auto: fp16 on CUDA; on the CPU int8 for calibrated weights, bf16 where it is native, else fp32',
    group: 'Device',
    flag: 'text',
  },
  threads: {
    schema: whole(1024),
    type: 'number',
    about: 'CPU threads of the network',
    standard: 'the cores this process may use (affinity and cgroup quota), shared among CPU replicas',
    group: 'Device',
    flag: 'number',
  },
  batchSize,
  tf32: {
    schema: z.boolean(),
    type: 'boolean',
    about: 'on CUDA in fp32, let convolutions round their inputs to TF32: faster, less exact',
    standard: 'off: true fp32',
    group: 'Device',
    flag: 'on',
  },
  deterministic: {
    schema: z.boolean(),
    type: 'boolean',
    about: "on CUDA, only algorithms that give the same bits each time, at some cost in speed; the CPU's do anyway",
    standard: 'off',
    group: 'Device',
    flag: 'on',
  },
  cudaGraphs: {
    schema: z.boolean(),
    type: 'boolean',
    about: 'on CUDA, record the forward of each input size when it comes again and replay it, which spares the launches',
    standard: 'on',
    group: 'Device',
    flag: 'off',
  },
  classNames: {
    schema: z.array(z.string().min(1)).min(1).readonly(),
    type: 'readonly string[]',
    about: "names by class id, instead of the checkpoint's",
    standard: "the checkpoint's, else COCO's where there are 80",
    group: 'Network',
  },
  mean: {
    schema: z.tuple([mean, mean, mean]).readonly(),
    type: 'readonly [number, number, number]',
    about: "mean of each channel, 0 to 255, in the network's channel order",
    standard: "the checkpoint's, else 123.675, 116.28, 103.53",
    group: 'Network',
  },
  std: {
    schema: z.tuple([deviation, deviation, deviation]).readonly(),
    type: 'readonly [number, number, number]',
    about: 'standard deviation of each channel',
    standard: "the checkpoint's, else 58.395, 57.12, 57.375",
    group: 'Network',
  },
  toRgb: {
    schema: z.boolean(),
    type: 'boolean',
    about: 'whether the network takes RGB (else BGR)',
    standard: "the checkpoint's, else true",
    group: 'Network',
  },
} as const satisfies OptionTable;

/** Options of `detectAll` besides a call's. */
export const detectAllTable = {
  concurrency: {
    schema: whole(1024),
    type: 'number',
    about: 'pictures taken and decoded ahead of the network, never less than a batch for each replica, and of no more than 1 GiB',
    standard: 'twice the threads, at least two batches for each replica, on CUDA eight',
    group: 'Device',
    flag: 'number',
  },
  batchSize,
} as const satisfies OptionTable;

type Shape<Table extends OptionTable> = {
  [K in keyof Table]: Table[K] extends { required: true } ? Table[K]['schema'] : z.ZodOptional<Table[K]['schema']>;
};

/** Each option's own schema, which undefined passes too unless the option is required. */
export function shapeOf<Table extends OptionTable>(table: Table): Shape<Table> {
  const shape = Object.entries(table).map(([name, { schema, required }]) => [name, required ? schema : schema.optional()]);
  return Object.fromEntries(shape) as Shape<Table>;
}
