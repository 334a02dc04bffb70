// What comes of a picture: the record that `cornernet detect` writes, or an error.
import { z } from 'zod';

import { CornerNetError, sentenceOf } from '../errors.js';
import type { Entry } from '../inputs/entry.js';

const side = z.number();
const detection = z.object({
  label: z.string(),
  classId: z.int().min(0),
  score: z.number(),
  box: z.tuple([side, side, side, side]).readonly(),
});

/** What `cornernet detect` writes of a picture; width and height in pixels. */
export const resultSchema = z.object({
  image: z.string(),
  width: z.int().min(1),
  height: z.int().min(1),
  detections: z.array(detection).readonly(),
});

const failureSchema = z.object({ image: z.string(), error: z.object({ code: z.string().startsWith('ERR_'), message: z.string() }) });

/** The picture's position in the job's list. */
const position = z.int().min(0);

/** A line of `results-*.jsonl`. */
export const resultLineSchema = z.object({ ...resultSchema.shape, position });

/** A line of `errors.jsonl`. */
export const errorLineSchema = z.object({ position, ...failureSchema.shape });

export type ResultRecord = z.infer<typeof resultSchema>;
export type ErrorLine = z.infer<typeof errorLineSchema>;
export type PictureOutcome = ResultRecord | z.infer<typeof failureSchema>;

export function failedOutcome({ path }: Entry, error: unknown): PictureOutcome {
  const code = error instanceof CornerNetError ? error.code : 'ERR_INTERNAL';
  return { image: path, error: { code, message: sentenceOf(error) } };
}
