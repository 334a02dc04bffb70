// What every format of results has in common.
import type { DetectionResult } from '../detector/result.js';

/** A picture's result, or why it has none. */
export type Outcome =
  | Pick<DetectionResult, 'image' | 'width' | 'height' | 'detections'>
  | { readonly image: string | null; readonly error: { readonly code: string; readonly message: string } };

export interface ResultWriter {
  /** In the inputs' order. */
  write(result: Outcome): Promise<void>;
  /** Everything was written that will be. */
  end(): Promise<void>;
  /** Something failed: no half file is left. */
  discard(): Promise<void>;
}

/** The record of a result, as JSON lines show it. */
export function toRecord(result: Outcome): object {
  if (!('error' in result)) return result;
  const { image, error } = result;
  return { image, error: { code: error.code, message: error.message } };
}
