// What a detector gives: its results' shapes and units.
import type { CornerNetError } from '../errors.js';
import type { Picture, Size } from '../images/image.js';
import type { Timings } from './timings.js';

/** One object found in a picture. */
export interface Detection {
  /** The class's name. */
  readonly label: string;
  readonly classId: number;
  /** 0 to 1. */
  readonly score: number;
  /** x1, y1, x2, y2 in pixels of the upright picture, a little beyond it at times, as mmdetection's; x to the right, y down. */
  readonly box: readonly [number, number, number, number];
}

/** What was found in one picture. */
export interface DetectionResult {
  /** The path or URL as it was given, a `File`'s name; null for pictures given as bytes. */
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

export type { NativeWork as NetworkWork } from '../native.js';

/** Counters since loading, over all replicas. */
export interface DetectorStats {
  /** Each tile of one counts. */
  readonly pictures: number;
  /** Runs of the network. */
  readonly forwards: number;
  /** Views that went through it; two a picture with `flip`. */
  readonly views: number;
  /**
   * A sentence each: devices that failed and were taken out of service, whose calls went to other replicas; the first picture that was far larger
   * than what the weights were trained on; the first whose maps left fp16's range and were computed again in fp32, or were not finite; what a device
   * has to do in a slower way.
   */
  readonly warnings: readonly string[];
  /** Devices that failed and were taken out of service. */
  readonly failedDevices: readonly string[];
}

/** From what the addon gives: x1, y1, x2, y2, score, class id per detection, in the pixels that the network saw. */
export function toDetections(values: Float32Array, classes: readonly string[], { width, height, original }: Picture): Detection[] {
  const [across, down] = [original.width / width, original.height / height];
  const detections: Detection[] = [];
  for (let i = 0; i < values.length; i += 6) {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, score = 0, classId = 0] = values.subarray(i, i + 6);
    const box = [x1 * across, y1 * down, x2 * across, y2 * down] as const;
    detections.push({ label: classes[classId] ?? `class${classId}`, classId, score, box });
  }
  return detections;
}

/** The weights still find objects in pictures of so many times the side that they were trained on. */
const farLarger = 3;

/** @param seen what the network saw at a time. */
export function sizeWarning(name: string | null, seen: Size, trainedSide: number | undefined): string | undefined {
  if (trainedSide === undefined || Math.max(seen.width, seen.height) <= farLarger * trainedSide) return undefined;
  return `${name ?? 'a picture'} is ${seen.width}x${seen.height} pixels large and the weights were trained on about ${trainedSide}: they may miss objects; try maxSide or tiles (--max-side, --tiles)`;
}
