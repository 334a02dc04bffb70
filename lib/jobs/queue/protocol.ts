// What goes through the queue: JSON of these shapes and nothing else, checked on both sides.
import { z } from 'zod';

import { entrySchema } from '../../inputs/entry.js';
import { validated } from '../../validation.js';
import { outcomeSchema } from '../outcome.js';
import type { WorkerState } from '../types.js';

/** Pictures of a chunk: some seconds of work on a CPU, a fraction of one on a GPU. */
export const picturesAChunk = 16;

export const chunkSchema = z.strictObject({
  weights: z.strictObject({ given: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  precision: z.enum(['auto', 'fp32', 'bf16', 'fp16']),
  settings: z.record(z.string(), z.unknown()),
  /** Paths relative to each machine's root. */
  entries: z.array(entrySchema).min(1).max(10_000),
});

export type Chunk = z.infer<typeof chunkSchema>;

export const replySchema = z.strictObject({
  outcomes: z.array(outcomeSchema),
  classes: z.array(z.string()),
});

export type Reply = z.infer<typeof replySchema>;

export const workerSchema: z.ZodType<WorkerState> = z.object({
  host: z.string(),
  pid: z.int(),
  device: z.string().nullable(),
  pictures: z.int(),
  errors: z.int(),
  rate: z.number(),
  time: z.number(),
});

/** @throws {CornerNetError} `ERR_QUEUE` when it isn't what it should be. */
export function parseMessage<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  return validated(schema, value, { code: 'ERR_QUEUE', what: `${what} is not what this version understands:` });
}
