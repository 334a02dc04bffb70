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

type More = Partial<Omit<OptionRow, 'schema' | 'type' | 'about' | 'standard'>>;
type Row<Schema, Given> = Pick<OptionRow, 'type' | 'about' | 'standard'> & { readonly schema: Schema } & Given;

/** `type` is the schema's as TypeScript writes it. */
export function option<Schema extends z.ZodType, const Given extends More = object>(
  schema: Schema,
  type: string,
  about: string,
  standard: string,
  given?: Given,
): Row<Schema, Given> {
  return { schema, type, about, standard, ...given } as Row<Schema, Given>;
}

export function number<Schema extends z.ZodType<number>, const Given extends More = object>(
  schema: Schema,
  about: string,
  standard: string,
  given?: Given,
): Row<Schema, Given> {
  return option(schema, 'number', about, standard, { flag: 'number', ...given } as unknown as Given);
}

export function bool(flag: 'on' | 'off' | 'either', about: string, standard: string): Row<z.ZodBoolean, { readonly flag: FlagKind }> {
  return option(z.boolean(), 'boolean', about, standard, { flag });
}

/** What is not empty. */
export function text<const Given extends More = object>(about: string, standard: string, given?: Given): Row<z.ZodString, Given> {
  return option(z.string().min(1), 'string', about, standard, { flag: 'text', ...given } as unknown as Given);
}

/** One of a few words; `type` where they have a name. */
export function word<const Words extends readonly string[]>(
  words: Words,
  about: string,
  standard: string,
  given: More & { type?: string } = {},
) {
  return option(z.enum(words), words.map((one) => `'${one}'`).join(' | '), about, standard, {
    ...{ flag: 'text', placeholder: words.join('|') },
    ...given,
  });
}

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
export const deviceSchema = z.string().regex(/^(auto|cpu|cuda(:(\d{1,3}|\*))?)$/, deviceSentence);

/** `threads` of work that has one network. */
export const threadsRow = number(whole(1024), 'CPU threads', 'the cores this process may use');

/** `softNms`: soft non-maximum suppression, as mmcv computes it. */
export const softNmsTable = headed('Results', {
  method: word(['gaussian', 'linear', 'naive'], 'how scores decay: gaussian, linear or naive', "the checkpoint's, else gaussian"),
  iouThreshold: number(z.number().min(0).max(1), 'overlap from which linear and naive act', "the checkpoint's, else 0.5"),
  sigma: number(z.number().min(1e-6).max(1e30), 'width of gaussian', "the checkpoint's, else 0.5"),
  minScore: number(z.number().min(0).max(1e30), 'drop boxes that decay below it', "the checkpoint's, else 0.001"),
});

/** `tiles`: a large picture in overlapping squares. */
export const tilesTable = headed('Pictures', {
  size: number(
    z.int().min(64).max(16_384),
    'cut larger pictures into overlapping tiles of so many pixels a side, each of which the network sees by itself; 127, 255, 383, 511, ... need no padding',
    'off',
    { placeholder: 'px', required: true },
  ),
  overlap: number(
    z.int().min(0),
    'pixels that neighbouring tiles share, at most half a tile: objects up to this size are whole in one of them',
    'a quarter of the tile',
    { placeholder: 'px' },
  ),
});

/** Options that `load` takes and each call may set anew. */
export const callTable = {
  ...headed('Network', {
    flip: bool(
      'either',
      'also look at the mirrored picture and merge (test-time augmentation)',
      "the weights' own configuration: on for the published ones, off for those that `cornernet train` leaves",
    ),
    scales: option(
      z.array(z.number().min(0.1).max(4)).min(1).max(16).readonly(),
      'readonly number[]',
      "look at each picture at several scales (0.1 to 4 of its size) and merge (test-time augmentation): the paper's AP of 42.2 is with 0.5, 0.75, 1, 1.25 and 1.5",
      '1',
      { flag: 'numbers', placeholder: 'list' },
    ),
    numerics: word(
      ['mmdet2', 'mmdet3'],
      "which mmdetection's padding, normalising and merging: mmdet2, which the published AP was measured with, or mmdet3",
      'mmdet2',
      { type: 'Numerics', placeholder: 'version' },
    ),
  }),
  ...headed('Results', {
    scoreThreshold: number(
      z.number().min(0).max(1),
      'leave out detections below it; 0 keeps all that mmdetection returns',
      '0.3, digits 0.5',
    ),
    maxPerImage: number(whole(100_000), 'at most so many detections a picture', "the checkpoint's, else 100"),
    cornerTopk: number(whole(10_000), 'corners considered of each kind', "the checkpoint's, else 100"),
    distanceThreshold: number(
      z.number().min(0).max(1e30),
      'largest difference of the embeddings of two corners that make a box',
      "the checkpoint's, else 0.5",
    ),
    softNms: option(
      z.strictObject(shapeOf(softNmsTable)),
      'SoftNmsOptions',
      'soft non-maximum suppression',
      "the checkpoint's, else mmdetection's",
    ),
    classes: option(
      orFalse(z.array(z.union([z.string(), z.int().min(0)])).min(1).readonly()), // prettier-ignore
      'readonly (string | number)[] | false',
      'classes to keep, by name or id; the others are left out',
      'all',
      { flag: 'list' },
    ),
    timings: bool('on', 'measure the stages; each result then has them (on CUDA this adds events and one wait a forward)', 'off'),
  }),
  ...headed('Pictures', {
    maxPixels: number(z.int().min(1), 'refuse pictures with more pixels', '50,000,000'),
    timeout: number(
      z.number().min(0).max(3600),
      'seconds that each step of reading a picture may take, and each of decoding it; it fails when they are over; 0 for any time',
      '60',
      { placeholder: 's' },
    ),
    maxSide: option(
      orFalse(z.int().min(16).max(65_536)),
      'number | false',
      "scale larger pictures down so that their longer side has so many pixels; boxes stay in the picture's own pixels",
      'off',
      { flag: 'number', placeholder: 'px' },
    ),
    scale: number(
      z.number().min(0.05).max(4),
      "scale pictures by this factor (0.05 to 4) before the network, or by less where maxSide asks for it; boxes stay in the picture's own pixels",
      '1',
      { placeholder: 'factor' },
    ),
    tiles: option(
      orFalse(
        z
          .strictObject(shapeOf(tilesTable))
          .refine(({ size, overlap = 0 }) => 2 * overlap <= size, { path: ['overlap'], error: 'must be at most half of size' }),
      ),
      'TileOptions | false',
      'cut large pictures into overlapping tiles, whose boxes are merged by soft non-maximum suppression; after maxSide and scale',
      'off',
    ),
  }),
};

/** Pictures that share a forward: of `load`, and anew of `detectAll`. */
const batchSize = option(
  z.union([whole(1024), z.literal('auto')], { error: "must be 'auto' or a whole number from 1 to 1024" }),
  "number | 'auto'",
  'pictures of one padded size that share a forward, in detectAll and of detect calls that wait while the device is busy; forwards that memory does not hold are split; auto: what memory holds, up to 32 on CUDA, 8 on the CPU',
  'in detectAll 1 on the CPU, 8 on CUDA; among waiting calls of detect auto',
  { flag: 'number|auto' },
);

const mean = z.number().min(-1e6).max(1e6);
const deviation = z.number().min(1e-6).max(1e6);
const channels = 'readonly [number, number, number]';

/** Options that belong to `Detector.load` alone. */
export const loadTable = {
  ...headed('Device', {
    device: option(
      z.union([deviceSchema, z.array(deviceSchema).min(1).readonly()], { error: deviceSentence }),
      'Device | readonly Device[]',
      'auto, cpu, cuda, cuda:N or cuda:* (every CUDA device); several make replicas, and batches go to whichever is free',
      'auto: the first CUDA device that the addon has code for, else the CPU',
      { flag: 'list', placeholder: 'device' },
    ),
    precision: word(
      ['auto', 'fp32', 'bf16', 'fp16', 'int8'],
      "the network's arithmetic: auto, fp32, bf16, fp16, or int8 on the CPU with weights that `quantize` calibrated",
      'auto: fp16 on CUDA; on the CPU int8 for calibrated weights, bf16 where it is native, else fp32',
      { type: 'Precision' },
    ),
    threads: number(
      whole(1024),
      'CPU threads of the network',
      'the cores this process may use (affinity and cgroup quota), shared among CPU replicas',
    ),
    batchSize,
    tf32: bool('on', 'on CUDA in fp32, let convolutions round their inputs to TF32: faster, less exact', 'off: true fp32'),
    deterministic: bool(
      'on',
      "on CUDA, only algorithms that give the same bits each time, at some cost in speed; the CPU's do anyway",
      'off',
    ),
    cudaGraphs: bool(
      'off',
      'on CUDA, record the forward of each input size when it comes again and replay it, which spares the launches',
      'on',
    ),
  }),
  ...headed('Network', {
    classNames: option(
      z.array(z.string().min(1)).min(1).readonly(),
      'readonly string[]',
      "names by class id, instead of the checkpoint's",
      "the checkpoint's, else COCO's where there are 80",
    ),
    mean: option(
      z.tuple([mean, mean, mean]).readonly(),
      channels,
      "mean of each channel, 0 to 255, in the network's channel order",
      "the checkpoint's, else 123.675, 116.28, 103.53",
    ),
    std: option(
      z.tuple([deviation, deviation, deviation]).readonly(),
      channels,
      'standard deviation of each channel',
      "the checkpoint's, else 58.395, 57.12, 57.375",
    ),
    toRgb: option(z.boolean(), 'boolean', 'whether the network takes RGB (else BGR)', "the checkpoint's, else true"),
  }),
};

/** Options of `detectAll` besides a call's. */
export const detectAllTable = headed('Device', {
  concurrency: number(
    whole(1024),
    'pictures taken and decoded ahead of the network, never less than a batch for each replica, and of no more than 1 GiB',
    'twice the threads, at least two batches for each replica, on CUDA eight',
  ),
  batchSize,
});

type Shape<Table extends OptionTable> = {
  [K in keyof Table]: Table[K] extends { required: true } ? Table[K]['schema'] : z.ZodOptional<Table[K]['schema']>;
};

/** Each option's own schema, which undefined passes too unless the option is required. */
export function shapeOf<Table extends OptionTable>(table: Table): Shape<Table> {
  const shape = Object.entries(table).map(([name, { schema, required }]) => [name, required ? schema : schema.optional()]);
  return Object.fromEntries(shape) as Shape<Table>;
}
