// What calibration can be asked for. Written by scripts/generate-options.ts from options.ts: change that.

/** Options of `quantize`. */
export interface QuantizeOptions {
  /** What to calibrate: an id of `cornernet weights list` or an mmdetection .pth. Default: the digits. */
  readonly weights?: string | undefined;
  /** Pictures of the kind that it will see, without labels: a folder, a glob, or - for a list of paths on standard input. */
  readonly images: string;
  /** The calibrated checkpoint, a .pth. */
  readonly output: string;
  /** As many of the pictures, evenly spread over their order, at most. Default: 300. */
  readonly pictures?: number | undefined;
  /** The part of the network's operations that sensitive layers may take back to 16 bits. Default: 0. */
  readonly wideShare?: number | undefined;
  /** CPU threads. Default: the cores this process may use. */
  readonly threads?: number | undefined;
}
