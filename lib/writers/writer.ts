// What every format of results has in common.
import type { DetectionResult, FailedResult } from '../detector.js';

export interface ResultWriter {
  /** In the inputs' order. */
  write(result: DetectionResult | FailedResult): Promise<void>;
  /** Everything was written that will be. */
  end(): Promise<void>;
  /** Something failed: no half file is left. */
  discard(): Promise<void>;
}

/** The record of a result, as JSON lines show it. */
export function toRecord(result: DetectionResult | FailedResult): object {
  if (!('error' in result)) return result;
  const { image, error } = result;
  return { image, error: { code: error.code, message: error.message } };
}
