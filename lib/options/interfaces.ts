// What a detector can be asked for. Written by scripts/generate-options.ts from table.ts: change that.
import type { Abortable, Device, Numerics, Precision } from './values.js';

/** Soft non-maximum suppression, as mmcv computes it. */
export interface SoftNmsOptions {
  /** How scores decay: gaussian, linear or naive. Default: the checkpoint's, else gaussian. */
  readonly method?: 'gaussian' | 'linear' | 'naive' | undefined;
  /** Overlap from which linear and naive act. Default: the checkpoint's, else 0.5. */
  readonly iouThreshold?: number | undefined;
  /** Width of gaussian. Default: the checkpoint's, else 0.5. */
  readonly sigma?: number | undefined;
  /** Drop boxes that decay below it. Default: the checkpoint's, else 0.001. */
  readonly minScore?: number | undefined;
}

/** A large picture in overlapping squares. */
export interface TileOptions {
  /** Cut larger pictures into overlapping tiles of so many pixels a side, each of which the network sees by itself; 127, 255, 383, 511, ... need no padding. */
  readonly size: number;
  /** Pixels that neighbouring tiles share, at most half a tile: objects up to this size are whole in one of them. Default: a quarter of the tile. */
  readonly overlap?: number | undefined;
}

/** Options that each call may set anew; unset ones keep what `Detector.load` was given, and `false` takes back its `classes`, `maxSide` or `tiles`. */
export interface DetectOptions {
  /** Also look at the mirrored picture and merge (test-time augmentation). Default: the weights' own configuration: on for the published ones, off for those that `cornernet train` leaves. */
  readonly flip?: boolean | undefined;
  /** Look at each picture at several scales (0.1 to 4 of its size) and merge (test-time augmentation): the paper's AP of 42.2 is with 0.5, 0.75, 1, 1.25 and 1.5. Default: 1. */
  readonly scales?: readonly number[] | undefined;
  /** Which mmdetection's padding, normalising and merging: mmdet2, which the published AP was measured with, or mmdet3. Default: mmdet2. */
  readonly numerics?: Numerics | undefined;
  /** Leave out detections below it; 0 keeps all that mmdetection returns. Default: 0.3, digits 0.5. */
  readonly scoreThreshold?: number | undefined;
  /** At most so many detections a picture. Default: the checkpoint's, else 100. */
  readonly maxPerImage?: number | undefined;
  /** Corners considered of each kind. Default: the checkpoint's, else 100. */
  readonly cornerTopk?: number | undefined;
  /** Largest difference of the embeddings of two corners that make a box. Default: the checkpoint's, else 0.5. */
  readonly distanceThreshold?: number | undefined;
  /** Soft non-maximum suppression. Default: the checkpoint's, else mmdetection's. */
  readonly softNms?: SoftNmsOptions | undefined;
  /** Classes to keep, by name or id; the others are left out. Default: all. */
  readonly classes?: readonly (string | number)[] | false | undefined;
  /** Measure the stages; each result then has them (on CUDA this adds events and one wait a forward). Default: off. */
  readonly timings?: boolean | undefined;
  /** Refuse pictures with more pixels. Default: 50,000,000. */
  readonly maxPixels?: number | undefined;
  /** Seconds that each step of reading a picture may take, and each of decoding it; it fails when they are over; 0 for any time. Default: 60. */
  readonly timeout?: number | undefined;
  /** Scale larger pictures down so that their longer side has so many pixels; boxes stay in the picture's own pixels. Default: off. */
  readonly maxSide?: number | false | undefined;
  /** Scale pictures by this factor (0.05 to 4) before the network, or by less where maxSide asks for it; boxes stay in the picture's own pixels. Default: 1. */
  readonly scale?: number | undefined;
  /** Cut large pictures into overlapping tiles, whose boxes are merged by soft non-maximum suppression; after maxSide and scale. Default: off. */
  readonly tiles?: TileOptions | false | undefined;
}

/** Options of `Detector.load`. */
export interface LoadOptions extends DetectOptions {
  /** Auto, cpu, cuda, cuda:N or cuda:* (every CUDA device); several make replicas, and batches go to whichever is free. Default: auto: the first CUDA device that the addon has code for, else the CPU. */
  readonly device?: Device | readonly Device[] | undefined;
  /** The network's arithmetic: auto, fp32, bf16, fp16, or int8 on the CPU with weights that `quantize` calibrated. Default: auto: fp16 on CUDA; on the CPU int8 for calibrated weights, bf16 where it is native, else fp32. */
  readonly precision?: Precision | undefined;
  /** CPU threads of the network. Default: the cores this process may use (affinity and cgroup quota), shared among CPU replicas. */
  readonly threads?: number | undefined;
  /** Pictures of one padded size that share a forward, in detectAll and of detect calls that wait while the device is busy; forwards that memory does not hold are split; auto: what memory holds, up to 32 on CUDA, 8 on the CPU. Default: in detectAll 1 on the CPU, 8 on CUDA; among waiting calls of detect auto. */
  readonly batchSize?: number | 'auto' | undefined;
  /** On CUDA in fp32, let convolutions round their inputs to TF32: faster, less exact. Default: off: true fp32. */
  readonly tf32?: boolean | undefined;
  /** On CUDA, only algorithms that give the same bits each time, at some cost in speed; the CPU's do anyway. Default: off. */
  readonly deterministic?: boolean | undefined;
  /** On CUDA, record the forward of each input size when it comes again and replay it, which spares the launches. Default: on. */
  readonly cudaGraphs?: boolean | undefined;
  /** Names by class id, instead of the checkpoint's. Default: the checkpoint's, else COCO's where there are 80. */
  readonly classNames?: readonly string[] | undefined;
  /** Mean of each channel, 0 to 255, in the network's channel order. Default: the checkpoint's, else 123.675, 116.28, 103.53. */
  readonly mean?: readonly [number, number, number] | undefined;
  /** Standard deviation of each channel. Default: the checkpoint's, else 58.395, 57.12, 57.375. */
  readonly std?: readonly [number, number, number] | undefined;
  /** Whether the network takes RGB (else BGR). Default: the checkpoint's, else true. */
  readonly toRgb?: boolean | undefined;
}

/** Options of `Detector.detectAll`. */
export interface DetectAllOptions extends DetectOptions, Abortable {
  /** Pictures taken and decoded ahead of the network, never less than a batch for each replica, and of no more than 1 GiB. Default: twice the threads, at least two batches for each replica, on CUDA eight. */
  readonly concurrency?: number | undefined;
  /** Pictures of one padded size that share a forward, in detectAll and of detect calls that wait while the device is busy; forwards that memory does not hold are split; auto: what memory holds, up to 32 on CUDA, 8 on the CPU. Default: in detectAll 1 on the CPU, 8 on CUDA; among waiting calls of detect auto. */
  readonly batchSize?: number | 'auto' | undefined;
}
