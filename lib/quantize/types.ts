// What a calibration tells of itself.
import type { Abortable } from '../options/values.js';

/** A way to compute that was tried on the probes, the first pictures. */
export interface QuantizeTrial {
  readonly what: string;
  /** Of the heads' six maps against fp32's: the root of the squared difference as a fraction of the map's own, their mean. */
  readonly error: number;
  /** Whether it was the best one so far. */
  readonly chosen: boolean;
}

/** A convolution, or a sum of maps, in the network's order. */
export interface QuantizedLayer {
  readonly name: string;
  readonly op: 'conv' | 'pool_pair' | 'upsample_add';
  /** Whether it computes in 8 bits. */
  readonly int8: boolean;
  /** What its map's bytes count in; 0 where the map is not of 8 bits. */
  readonly scale: number;
  /** What rounding its map to 8 bits loses, as a fraction of the map. */
  readonly rounding: number;
  /** Of its map in the int8 network against fp32's, with what all layers before it lose. */
  readonly error: number;
  /** Of the network's operations. */
  readonly share: number;
}

/** What the int8 network detects of what fp32 does, on the probes: boxes of a class that overlap by half. */
export interface QuantizeAgreement {
  readonly pictures: number;
  /** Detections of fp32 at or above the score threshold. */
  readonly detections: number;
  /** The part of them that int8 has. */
  readonly found: number;
  /** The part of int8's, at or above the same threshold, that fp32 has. */
  readonly confirmed: number;
  /** The mean overlap of both's boxes, 0 to 1. */
  readonly overlap: number;
  /** The mean difference of their scores. */
  readonly scoreDifference: number;
}

/** What a calibration came to. */
export interface QuantizeReport {
  readonly weights: string;
  readonly output: string;
  /** That were looked at, and on how many of them ways were tried. */
  readonly pictures: number;
  readonly probes: number;
  /** Pictures that could not be read. */
  readonly failed: readonly { readonly image: string; readonly reason: string }[];
  readonly trials: readonly QuantizeTrial[];
  readonly layers: readonly QuantizedLayer[];
  /** The relative error of each map that the heads give. */
  readonly heads: readonly { readonly name: string; readonly error: number }[];
  /** The part of the network's operations that are in 8 bits. */
  readonly int8Share: number;
  readonly agreement: QuantizeAgreement;
}

/** How far a calibration is. */
export interface QuantizeProgress {
  readonly stage: 'observing' | 'trying';
  /** Pictures observed, of `total`; ways tried, of which nobody knows the number. */
  readonly done: number;
  readonly total?: number;
  /** Of the stage 'trying'. */
  readonly trial?: QuantizeTrial;
}

/** What may be heard and said while `quantize` runs. */
export interface QuantizeControls extends Abortable {
  readonly onProgress?: ((progress: QuantizeProgress) => void) | undefined;
}
