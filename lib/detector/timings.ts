// Where a detection's time went, stage by stage.
import type { Picture } from '../images/image.js';
import type { NativeTimings } from '../native.js';

/**
 * Milliseconds. `prepare` to `nms` are the forward's that the picture was part of: with several pictures in a batch they are not one picture's share.
 * With `tiles` they are the sums over the forwards that its tiles were part of, which on several devices may have run beside each other.
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
  /** Pictures (or tiles) that shared the forward, at most. */
  readonly batch: number;
}

/** performance.now() and process.hrtime() count from different moments on the same clock. */
function sinceOrigin(monotonic: number): number {
  return monotonic - (Number(process.hrtime.bigint()) / 1e6 - performance.now());
}

/** The whole from its two halves; call it when the result is there. */
export function timingsOf({ taken, decoded }: Picture, ofTiles: readonly NativeTimings[]): Timings {
  const forwards = [...new Map(ofTiles.map((timings) => [timings.begun, timings])).values()];
  const sum = (stage: 'prepare' | 'network' | 'corners' | 'nms'): number => forwards.reduce((all, timings) => all + timings[stage], 0);
  return {
    start: taken,
    decode: decoded - taken,
    wait: Math.max(0, sinceOrigin(Math.min(...forwards.map(({ begun }) => begun))) - decoded),
    prepare: sum('prepare'),
    network: sum('network'),
    corners: sum('corners'),
    nms: sum('nms'),
    total: performance.now() - taken,
    batch: Math.max(...forwards.map(({ pictures }) => pictures)),
  };
}
