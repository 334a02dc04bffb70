// Where a detection's time went, stage by stage.
import type { NativeTimings } from '../native.js';

/**
 * Milliseconds. `prepare` to `nms` are the forward's that the picture was part of: with several pictures in a batch they are not one picture's share.
 */
export interface Timings {
  /** When the picture was taken, as performance.now() tells it. */
  readonly start: number;
  /** Reading and decoding the picture, the wait for a free decoding thread included. */
  readonly decode: number;
  /** Between decoding and the forward: for batch mates, for the device, and handing over. */
  readonly wait: number;
  /** Upload, normalising, padding, mirroring. */
  readonly prepare: number;
  /** The network alone. */
  readonly network: number;
  /** Peaks, top-k, pairing. */
  readonly corners: number;
  /** Merging the views, soft-NMS. */
  readonly nms: number;
  /** From `start` to the result, which besides the above has handing back. */
  readonly total: number;
  /** Pictures that shared the forward. */
  readonly batch: number;
}

/** When a picture was taken and decoded, by performance.now(). */
export interface Decoded {
  readonly start: number;
  readonly end: number;
}

/** performance.now() and process.hrtime() count from different moments on the same clock. */
function sinceOrigin(monotonic: number): number {
  return monotonic - (Number(process.hrtime.bigint()) / 1e6 - performance.now());
}

/** The whole from its two halves; call it when the result is there. */
export function timingsOf({ start, end }: Decoded, { begun, prepare, network, corners, nms, pictures }: NativeTimings): Timings {
  const wait = Math.max(0, sinceOrigin(begun) - end);
  return { start, decode: end - start, wait, prepare, network, corners, nms, total: performance.now() - start, batch: pictures };
}
