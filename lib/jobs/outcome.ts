// What comes of a picture: the record that `cornernet detect` writes, or an error.
import { z } from 'zod';

import { sentenceOf, CornerNetError, type CornerNetErrorCode } from '../errors.js';
import type { Detection } from '../detector/result.js';
import type { Entry } from '../inputs/entry.js';

/** A line of `results-*.jsonl`. */
export interface ResultRecord {
  readonly image: string;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  readonly detections: readonly Detection[];
}

/** A line of `errors.jsonl`. */
export interface ErrorRecord {
  /** Of the picture in the job's list, from 0. */
  readonly position: number;
  readonly image: string;
  readonly error: { readonly code: CornerNetErrorCode; readonly message: string };
}

export type Outcome = ResultRecord | Pick<ErrorRecord, 'image' | 'error'>;

const side = z.number();

export const resultSchema = z.object({
  image: z.string(),
  width: z.int().min(1),
  height: z.int().min(1),
  detections: z.array(
    z.object({ label: z.string(), classId: z.int().min(0), score: z.number(), box: z.tuple([side, side, side, side]).readonly() }),
  ),
});

const errorShape = { image: z.string(), error: z.object({ code: z.string().startsWith('ERR_'), message: z.string() }) };

export const errorSchema = z.object({ position: z.int().min(0), ...errorShape });

export const outcomeSchema = z.union([resultSchema, z.object(errorShape)]);

export function failedOutcome({ path }: Entry, error: unknown): Outcome {
  const code = error instanceof CornerNetError ? error.code : 'ERR_INTERNAL';
  return { image: path, error: { code, message: sentenceOf(error) } };
}
