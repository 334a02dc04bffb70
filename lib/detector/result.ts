// What a detector gives: its results' shapes and units.
import type { CornerNetError } from '../errors.js';
import type { NativeWork } from '../native.js';
import type { Timings } from './timings.js';

/** One object found in a picture. */
export interface Detection {
  /** The class's name. */
  readonly label: string;
  readonly classId: number;
  /** 0 to 1. */
  readonly score: number;
  /** x1, y1, x2, y2 in pixels of the upright picture; x to the right, y down. */
  readonly box: readonly [number, number, number, number];
}

/** What was found in one picture. */
export interface DetectionResult {
  /** The path or URL as it was given; null for pictures given as bytes. */
  readonly image: string | null;
  /** Pixels, after turning by the EXIF orientation. */
  readonly width: number;
  /** Pixels, after turning by the EXIF orientation. */
  readonly height: number;
  /** In descending score. */
  readonly detections: readonly Detection[];
  /** With the option `timings`. */
  readonly timings?: Timings;
}

/** A picture of `detectAll` that could not be read or computed. */
export interface FailedResult {
  readonly image: string | null;
  readonly error: CornerNetError;
}

/** A map of the head before the sigmoid. */
export interface HeadMap {
  /** channels, height, width */
  readonly shape: readonly [number, number, number];
  /** Channel-first, row-major. */
  readonly values: Float32Array;
}

/** The last level's maps of the plain padded picture, and where the picture lies in it. */
export interface Heads {
  readonly tlHeat: HeadMap;
  readonly brHeat: HeadMap;
  readonly tlEmb: HeadMap;
  readonly brEmb: HeadMap;
  /** Channel 0 is x. */
  readonly tlOff: HeadMap;
  readonly brOff: HeadMap;
  /** Pixels of the padded picture; a map cell is paddedWidth / map width pixels wide. */
  readonly paddedWidth: number;
  readonly paddedHeight: number;
  /** Pixels of border before the picture. */
  readonly left: number;
  readonly top: number;
}

/** One operator's call in the network: its shape, operations and bytes. */
export type NetworkWork = Readonly<NativeWork>;

/** Counters since loading, over all replicas. */
export interface DetectorStats {
  readonly pictures: number;
  /** Runs of the network. */
  readonly forwards: number;
  /** Views that went through it; two a picture with `flip`. */
  readonly views: number;
  /** Devices that failed and were taken out of service, a sentence each; their calls went to other replicas. */
  readonly warnings: readonly string[];
}
