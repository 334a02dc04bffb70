// The only door to the addon: its typed surface, and finding and loading it.
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';

import type { Heads } from './detector/heads.js';
import { CornerNetError, sentenceOf } from './errors.js';
import type { ChosenPrecision } from './options/values.js';
import { packagePath } from './package.js';
import type { QuantizeReport, QuantizeTrial } from './quantize/types.js';
import type { LoadOptions } from './options/interfaces.js';
import { script } from './setup.js';
import type { ArchitectureOptions } from './train/interfaces.js';

export interface NativePicture {
  /** Packed RGB, row-major, 3 bytes a pixel. Copied on the calling thread. */
  data: Uint8Array;
  width: number;
  height: number;
}

/** What is absent keeps its default. */
export interface NativeLoadOptions extends Pick<LoadOptions, 'precision' | 'threads' | 'tf32' | 'deterministic' | 'cudaGraphs'> {
  path: string;
  /** Default 'auto'. */
  device?: string;
}

type Settings =
  'flip' | 'numerics' | 'scoreThreshold' | 'maxPerImage' | 'cornerTopk' | 'distanceThreshold' | 'softNms' | 'scales' | 'timings';

/** What is absent keeps what the checkpoint's configuration states, the published one's else; `scoreThreshold` keeps 0. */
export interface NativeDetectOptions extends Pick<LoadOptions, Settings | 'mean' | 'std' | 'toRgb'> {
  /** Class ids to keep; empty (the default) keeps all. */
  classIds?: readonly number[];
  /** Of a network in fp16, whose numbers end at 65504: computes the maps in fp32, with the weights as they are. Default false. */
  inFp32?: boolean;
}

/** Milliseconds of the forward that a picture was part of. */
export interface NativeTimings {
  /** When it began, in milliseconds of the clock of process.hrtime(). */
  begun: number;
  prepare: number;
  network: number;
  corners: number;
  nms: number;
  /** That shared the forward. */
  pictures: number;
}

export interface NativeFound {
  /** One a picture: x1, y1, x2, y2, score, class id per detection, in descending score. */
  detections: Float32Array[];
  /** Pictures, by place, whose maps or boxes were not finite numbers: their lists are empty. */
  notFinite: number[];
  /** One a picture, or none when they were not asked for. */
  timings: NativeTimings[];
}

/** One operator's call in the network: its shape, operations and bytes. */
export interface NativeWork {
  readonly op: 'conv' | 'pool_pair' | 'upsample_add';
  /** Views in it. */
  readonly n: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Pixels of the input; of the result for upsample_add. */
  readonly height: number;
  readonly width: number;
  /** A side of a convolution's kernel; 1 else. */
  readonly kernel: number;
  readonly stride: number;
  readonly relu: boolean;
  /** Whether a convolution adds another map to its result. */
  readonly residual: boolean;
  /** Additions, multiplications and comparisons, each counted as one. */
  readonly flops: number;
  /** Every input read once, the result written once. */
  readonly bytes: number;
  /** The name of what it makes; empty before weights are loaded. */
  readonly layer: string;
  /** Whether what it reads has 8 bits. */
  readonly int8: boolean;
}

export interface NativeBenchSetting {
  device: string;
  precision: ChosenPrecision;
  /** 0: the cores this process may use. */
  threads: number;
  /** For all candidates together; at least five rounds are made. */
  seconds: number;
}

export interface NativeBenchReport {
  /** 'ours', 'aten', 'copy' (of as many bytes); seconds of a call, one entry a round. */
  candidates: { name: 'ours' | 'aten' | 'copy'; backToBack: Float64Array; cold: Float64Array }[];
  /** Written elsewhere before each cold call. */
  coldBytes: number;
  /** Of the verification, as a fraction of what is allowed. */
  largestError: number;
}

export interface NativeInfo {
  device: string;
  precision: ChosenPrecision;
  threads: number;
  /** Class names the checkpoint states; empty when it names none. */
  classes: string[];
  numClasses: number;
}

/** Counters since loading, and the bytes that the prepared weights take. */
export interface NativeCounters {
  pictures: number;
  forwards: number;
  views: number;
  weightsBytes: number;
}

export interface NativeStats extends NativeCounters {
  /** What the detector's user should know, a sentence each. */
  warnings: string[];
}

/** One network on one device with a thread of its own; calls run in order. Rejections are Errors with a `code` such as "ERR_CHECKPOINT". */
export interface NativeDetector {
  load(options: NativeLoadOptions): Promise<NativeInfo>;
  /** `id` names the call for cancel(). */
  detect(id: number, pictures: NativePicture[], options: NativeDetectOptions): Promise<NativeFound>;
  /**
   * One list from the detections (x1, y1, x2, y2, score, class id) of several overlapping parts of a picture: thinned by soft-NMS and filtered by
   * score and class like those of a picture. Does not wait for forwards. Rejects with ERR_INPUT what is not finite or not six numbers each.
   */
  mergeDetections(id: number, detections: Float32Array, options: NativeDetectOptions): Promise<Float32Array>;
  heads(id: number, picture: NativePicture, options: NativeDetectOptions): Promise<Omit<Heads, 'width' | 'height'>>;
  /** What the network has to do for `views` views of a picture of this size at each of the scales (default 1), operator by operator in their order. */
  work(id: number, options: { width: number; height: number; views: number; scales?: readonly number[] }): Promise<NativeWork[]>;
  /** Drops a call, which rejects with ERR_CLOSED: at once when it waits, at its next step when it runs. */
  cancel(id: number): void;
  stats(): NativeStats;
  /** Refuses new calls, rejects queued ones and a load with ERR_CLOSED, waits for the running one, frees, joins. Idempotent. */
  close(): Promise<void>;
}

export interface NativeTrainerOptions {
  /** A checkpoint to begin with; empty (the default) draws the weights. */
  from?: string;
  /** Absent dimensions are the published HourglassNet-104's. */
  architecture?: ArchitectureOptions | undefined;
  classes: readonly string[];
  device?: string | undefined;
  precision?: string | undefined;
  /** 0: the cores this process may use. */
  threads?: number | undefined;
  /** Of drawn weights; a whole number. */
  seed?: number | undefined;
  freezeBackbone?: boolean | undefined;
  /** Norms keep their statistics. */
  freezeNorms?: boolean | undefined;
  /** The hourglasses' activations are computed again on the way back instead of kept. */
  recompute?: boolean | undefined;
}

/** One process's place among those that train together. */
export interface NativeMembership {
  rank: number;
  processes: number;
  /** Of the store through which they meet: rank 0 keeps it there, unless it is `hosted` by somebody else. */
  address: string;
  port: number;
  hosted: boolean;
  /** Of the store's keys. */
  prefix: string;
  /** In which all must have come. */
  seconds: number;
}

export interface NativeTrainerInfo {
  device: string;
  threads: number;
  /** By class id: the checkpoint's order where it has the same classes. */
  classes: string[];
  /** Numbers that are learned. */
  parameters: number;
  /** That the checkpoint states. */
  iteration: number;
  /** Tensors that the checkpoint gave. */
  taken: number;
  /** Tensors that were drawn although there is a checkpoint. */
  drawn: string[];
  /** Whether its optimizer's state goes on. */
  hasMoments: boolean;
  /** The way that gradients of several GPUs go; empty for others. */
  sums: string;
}

export interface NativeSample {
  picture: NativePicture;
  /** x1, y1, x2, y2 in pixels of the picture, within it, and the class id, of each object. */
  boxes: Float32Array;
  /** Of the augmentation; a whole number. */
  seed: number;
}

/** Losses of each level, and their sum; the gradient's norm before clipping. */
export interface NativeStep {
  det: Float64Array;
  pull: Float64Array;
  push: Float64Array;
  off: Float64Array;
  total: number;
  gradientNorm: number;
  /** Of all processes. */
  pictures: number;
  /** The most that a GPU's memory held so far for this training; 0 on the CPU. */
  deviceBytes: number;
  /** Whether any process wants to end after this step. */
  stop: boolean;
}

/** One network that learns, with a thread of its own; calls run in order. */
export interface NativeTrainer {
  /**
   * Waits for the other processes of a training, all of which then make the same calls in the same order. What fails because of another one rejects
   * with ERR_PEER.
   */
  join(membership: NativeMembership): Promise<void>;
  /** The words of every process, by rank. */
  exchange(id: number, words: string): Promise<string[]>;
  /** Rejects when another process has ended, though none of the other calls runs. */
  check(id: number): Promise<void>;
  /** Tells the others why this process ends. */
  leave(id: number, why: string): Promise<void>;
  /** With others every process begins as rank 0. */
  begin(options: NativeTrainerOptions): Promise<NativeTrainerInfo>;
  /**
   * Pictures as the network sees them, made on a thread of their own while the other learns. `id` names the call for cancel(), and the batch for step().
   */
  prepare(
    id: number,
    samples: readonly NativeSample[],
    augmentation: { enabled: boolean; size: number; mirrors?: boolean },
  ): Promise<number>;
  /** Of a prepared batch, which is gone then. Rejects with ERR_INPUT when the loss or the gradient is not finite. */
  step(id: number, batch: number, learningRate: number, stop?: boolean): Promise<NativeStep>;
  /** Nothing is left of what fails: ERR_WRITE with the system's words, ERR_INPUT when a weight is not finite. */
  save(id: number, options: { path: string; iteration: number; epoch: number; learningRate: number; optimizer: boolean }): Promise<void>;
  cancel(id: number): void;
  close(): Promise<void>;
}

/** One calibration, with a thread of its own; calls run in order. */
export interface NativeQuantizer {
  begin(options: { path: string; threads?: number | undefined; wideShare?: number | undefined }): Promise<void>;
  /** `id` names the call for cancel(). */
  observe(id: number, picture: NativePicture): Promise<void>;
  /** Undefined when all is tried. */
  tryNext(id: number): Promise<QuantizeTrial | undefined>;
  /** Writes at this path, which is to be a name aside; ERR_WRITE. */
  write(id: number, path: string): Promise<Omit<QuantizeReport, 'weights' | 'output' | 'failed' | 'agreement'>>;
  cancel(id: number): void;
  close(): Promise<void>;
}

export interface NativeBuildInfo {
  libtorchVersion: string;
  cuda: boolean;
  cudaVersion: string;
  cpuFeatures: string[];
  cores: number;
}

export interface NativeGpuInfo {
  /**
   * The CUDA devices that this process sees: their compute capability's first number, whether this build holds kernels for them, and why they
   * can't be used, which is empty where they can.
   */
  devices: { major: number; hasCode: boolean; obstacle: string }[];
  /** Of the cuDNN that LibTorch found, 91002 for 9.10.2; 0 without. */
  cudnnVersion: number;
}

/** Of the boundary that this file describes; csrc/addon/addon.cpp has the same number. */
const boundary = 15;

export interface NativeAddon {
  boundary: number;
  Detector: new () => NativeDetector;
  Trainer: new () => NativeTrainer;
  Quantizer: new () => NativeQuantizer;
  /** Touches no GPU. */
  buildInfo(): NativeBuildInfo;
  /** Runs a kernel on every GPU, which takes a context's memory on each. */
  gpuInfo(): NativeGpuInfo;
  /** Corner pooling of fp32 data shaped [..., height, width] on `device`. */
  cornerPool(data: Float32Array, shape: number[], direction: 'top' | 'bottom' | 'left' | 'right', device: string): Promise<Float32Array>;
  /** As NativeDetector.work, of HourglassNet-104 with the published head. */
  networkWork(options: { width: number; height: number; views: number; precision: 'fp32' | 'bf16' | 'fp16' | 'int8' }): NativeWork[];
  /** Verifies an operator against ATen's composition and times it; rejects with ERR_INTERNAL when it computes something else. */
  benchOperator(work: NativeWork, setting: NativeBenchSetting): Promise<NativeBenchReport>;
  /**
   * Rates, one a round: FLOP/s of a product of square matrices of `size` or of a convolution of `size` channels, bytes/s (read and written) of a
   * copy of `size` bytes.
   */
  benchPeak(kind: 'matmul' | 'conv' | 'copy', setting: NativeBenchSetting): Promise<{ rates: Float64Array; size: number }>;
}

/** Where the addon may be, in the order of looking. */
export function addonPaths(): string[] {
  const chosen = process.env['CORNERNET_ADDON'];
  return [...(chosen ? [chosen] : []), packagePath('build', 'Release', 'cornernet.node')];
}

const remedy = 'run `npx cornernet setup` (`npx cornernet doctor` says what it finds)';

/** Why no addon can run on this machine; asked where one doesn't load, as the answer takes some milliseconds. */
function foreign(): string | undefined {
  return script('platform.js').foreign();
}

let loaded: NativeAddon | undefined;

/**
 * Loads the addon, once.
 * @throws {CornerNetError} `ERR_NOT_BUILT` with every path that was tried, when it is another version's, or in a bundle; `ERR_LIBTORCH` when the addon is there but LibTorch can't be loaded.
 */
export function loadNative(): NativeAddon {
  if (loaded) return loaded;
  const paths = addonPaths();
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined)
    throw new CornerNetError('ERR_NOT_BUILT', foreign() ?? `the native addon is not built: looked for ${paths.join(', ')}; ${remedy}`);
  // OpenMP threads that wait spin by default for milliseconds, which on a busy machine starves the one they wait for (a small forward then takes
  // 200 ms instead of 5). Tens of microseconds lose nothing on a quiet one. Read by libgomp when it is loaded; a user's own setting stands.
  if (process.env['OMP_WAIT_POLICY'] === undefined) process.env['GOMP_SPINCOUNT'] ??= '20000';
  // All GPUs that train together connect when they meet, where who is lost is noticed: else they do so within their first sums, which nothing but
  // their own end interrupts. Here, because the environment may be changed while no other thread reads it.
  process.env['NCCL_RUNTIME_CONNECT'] ??= '0';
  try {
    realpathSync.native('.');
  } catch (error) {
    // oneMKL, which LibTorch brings, would end the process.
    throw new CornerNetError('ERR_LIBTORCH', `LibTorch can't be loaded where the current folder is gone: ${sentenceOf(error)}`, {
      cause: error,
    });
  }
  let addon: NativeAddon;
  try {
    addon = createRequire(__filename)(path) as NativeAddon;
  } catch (error) {
    const [sentence, elsewhere] = [sentenceOf(error), foreign()];
    if ((error as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED')
      throw new CornerNetError('ERR_NOT_BUILT', `Node was told to load no addons: ${sentence} (--allow-addons beside --permission)`, {
        cause: error,
      });
    const code = elsewhere === undefined && /lib(torch|c10|gomp|cud)/.test(sentence) ? 'ERR_LIBTORCH' : 'ERR_NOT_BUILT';
    throw new CornerNetError(code, elsewhere ?? `the native addon ${path} can't be loaded: ${sentence}; ${remedy}`, { cause: error });
  }
  if (addon.boundary !== boundary)
    throw new CornerNetError('ERR_NOT_BUILT', `the native addon ${path} was built from another version of cornernet: ${remedy}`);
  return (loaded = addon);
}
