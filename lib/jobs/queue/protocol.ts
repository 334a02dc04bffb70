// What goes through the queue: JSON of these shapes and sizes and nothing else, checked on both sides.
import { z } from 'zod';

import type { Timings } from '../../detector/timings.js';
import { entrySchema } from '../../inputs/entry.js';
import { callTable, loadTable, shapeOf, type OptionTable } from '../../options/table.js';
import { validated } from '../../validation.js';
import { placeOptions } from '../job.js';
import { resultSchema } from '../outcome.js';
import type { WorkerState } from '../types.js';

/** Pictures of a chunk: some seconds of work on a CPU, a fraction of one on a GPU. */
export const picturesAChunk = 16;

/** Characters of a chunk. */
export const longestChunk = 1 << 20;
/** Characters that a failure's sentence may have. */
export const longestSentence = 2_000;

/** What Linux takes for a path. */
const path = z
  .string()
  .min(1)
  .max(4_095)
  .refine((text) => !text.includes('\0'), 'no path has a NUL');

/** A picture below each machine's root; a member's own name is a name and never a path. */
export const sentEntrySchema = entrySchema.extend({
  path,
  member: z.strictObject({ tar: path, offset: z.int().min(0), size: z.int().min(0) }).optional(),
});

/** What changes results. Where and how they are computed is each worker's own. */
const settingsTable: OptionTable = Object.fromEntries(
  Object.entries({ ...callTable, ...loadTable }).filter(([name]) => !(placeOptions as readonly string[]).includes(name)),
);

export const chunkSchema = z.strictObject({
  /** An id of the manifest, or a path below the root. */
  weights: z.strictObject({ given: path, sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  precision: loadTable.precision.schema,
  settings: z.strictObject(shapeOf(settingsTable)),
  entries: z.array(sentEntrySchema).min(1).max(picturesAChunk),
});

export type Chunk = z.infer<typeof chunkSchema>;

const name = z.string().max(1_000);
const failureSchema = z.object({
  image: z.string(),
  error: z.object({ code: z.string().regex(/^ERR_[A-Z_]{1,40}$/), message: z.string().max(longestSentence) }),
});

/** Detections a picture when a job doesn't bound them: those that a checkpoint's own configuration may ask for. */
const mostDetections = 10_000;

function mostOf({ settings }: Pick<Chunk, 'settings'>): number {
  return (settings['maxPerImage'] as number | undefined) ?? mostDetections;
}

/** Characters of a chunk's reply. */
export function longestReply(chunk: Pick<Chunk, 'settings'>): number {
  return longestChunk + picturesAChunk * 512 * mostOf(chunk);
}

const timings = z.record(
  z.enum(['start', 'decode', 'wait', 'prepare', 'network', 'corners', 'nms', 'total', 'batch'] satisfies (keyof Timings)[]),
  z.number(),
);

/** The reply to a chunk of so many pictures. */
export function replySchemaOf(chunk: Pick<Chunk, 'settings'>, pictures: number) {
  const detections = resultSchema.shape.detections.unwrap().max(mostOf(chunk)).readonly();
  return z
    .strictObject({
      outcomes: z.array(z.union([resultSchema.extend({ detections, timings: timings.optional() }), failureSchema])).length(pictures),
      classes: z.array(name).max(100_000),
    })
    .refine(
      ({ outcomes, classes }) => outcomes.every((one) => 'error' in one || one.detections.every(({ classId }) => classId < classes.length)),
      {
        error: 'it has classes that it does not name',
      },
    );
}

export type Reply = z.infer<ReturnType<typeof replySchemaOf>>;

const count = z.int().min(0);

export const workerSchema: z.ZodType<WorkerState> = z.object({
  host: z.string().max(255),
  pid: count,
  device: name.nullable(),
  pictures: count,
  errors: count,
  refused: count,
  rate: z.number().min(0),
  time: z.number(),
});

/** @throws {CornerNetError} `ERR_QUEUE` when it isn't what it should be. */
export function parseMessage<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  return validated(schema, value, { code: 'ERR_QUEUE', what: `${what} is not what this version understands:` });
}
