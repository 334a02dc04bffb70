// The kinds of values that options take, and a default that several places have.

/** Which of mmdetection's versions is reproduced where they differ: padding, normalising and merging of flipped views. */
export type Numerics = 'mmdet2' | 'mmdet3';

/** Arithmetic of the network. 'auto' is fp16 on CUDA; on the CPU int8 for weights that `quantize` calibrated, bf16 where it is native, else fp32. */
export type Precision = 'auto' | 'fp32' | 'bf16' | 'fp16' | 'int8';

/** What 'auto' comes to. */
export type ChosenPrecision = Exclude<Precision, 'auto'>;

/** 'auto' takes the first CUDA device that the addon has code for, else the CPU; 'cuda:*' is a replica on every usable CUDA device. */
export type Device = 'auto' | 'cpu' | 'cuda' | 'cuda:*' | `cuda:${number}`;

/** `AbortSignal` of a call. */
export interface Abortable {
  /** Rejects the call at once with the signal's reason, also during a forward, whose result is dropped. */
  readonly signal?: AbortSignal | undefined;
}

/** Pictures with more are refused unless `maxPixels` says otherwise. */
export const defaultMaxPixels = 50_000_000;

/** Seconds that reading a picture may take, and decoding it, unless `timeout` says otherwise. */
export const defaultTimeout = 60;
