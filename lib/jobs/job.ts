// What a job is, in its job.json. A folder goes on only with the settings and the checkpoint that it was begun with.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';

import { z } from 'zod';

import { difference, refuseDifferences } from '../begun-otherwise.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import type { LoadOptions } from '../options/interfaces.js';
import { writeText } from '../output-file.js';
import { readText } from '../regular-file.js';
import { batchTable } from './options.js';
import { validated } from '../validation.js';
import { findWeights } from '../weights/weights.js';

const jobSchema = z.object({
  version: z.literal(2),
  created: z.string(),
  /** Versions it was begun with. */
  cornernet: z.string(),
  libtorch: z.string().nullable(),
  /** As they were given; the checksum says which they are. */
  weights: z.strictObject({ given: z.string(), sha256: z.string() }),
  precision: z.enum(['auto', 'fp32', 'bf16', 'fp16', 'int8']),
  /** Names by class id; null until the first results of a queue's workers tell them. */
  classes: z.array(z.string()).readonly().nullable(),
  /** The detector's options that change results: the weights' own test options and what was given. */
  settings: z.record(z.string(), z.unknown()),
  /** That it was begun in, which relative paths are relative to; absent in jobs of former versions. */
  folder: z.string().optional(),
  inputs: z.array(z.string()).readonly(),
  limit: z.int().min(1).optional(),
  shard: batchTable.shard.schema.optional(),
  /** Whether the list has each picture's sha256. */
  hashInputs: z.boolean().optional(),
  /** Pictures. */
  total: z.int().min(0),
});

export type JobFile = z.infer<typeof jobSchema>;

/** What is held against a folder's job.json. */
export interface JobRequest extends Pick<JobFile, 'weights' | 'settings' | 'folder' | 'inputs' | 'limit' | 'shard' | 'hashInputs'> {
  readonly precision: JobFile['precision'] | undefined;
}

/** Where and how fast it is computed: not part of the job. */
export const placeOptions = ['device', 'threads', 'batchSize', 'precision', 'deterministic', 'cudaGraphs', 'timeout'] as const;

export function settingsOf(options: LoadOptions): Record<string, unknown> {
  const given = Object.entries(options).filter(
    ([name, value]) => value !== undefined && !(placeOptions as readonly string[]).includes(name),
  );
  return Object.fromEntries(given);
}

/** As they are named from here. */
export function weightsOf(job: JobFile): string {
  const { given } = job.weights;
  return findWeights(given) ? given : resolve(baseOf(job), given);
}

/** What its relative paths are relative to: the folder that it was begun in; the current one when that is no longer there, because all was moved. */
export function baseOf({ folder }: Pick<JobFile, 'folder'>): string {
  return folder !== undefined && existsSync(folder) ? folder : process.cwd();
}

const jobFile = 'job.json';
/** What a first start leaves that was cut off before job.json was there. */
const leftovers = /^(list|lock-\d+\.json|.*\.part)$/;

/** @throws {CornerNetError} `ERR_JOB` when the folder holds something else, or a job.json that can't be read. */
export async function readJob(folder: string): Promise<JobFile | undefined> {
  try {
    const names = await readdir(folder);
    if (!names.includes(jobFile)) {
      const other = names.find((name) => !leftovers.test(name));
      if (other === undefined) return undefined;
      throw new Error(`it is no job's folder and not empty (${other})`);
    }
    return validated(jobSchema, JSON.parse(await readText(join(folder, jobFile))), { code: 'ERR_JOB', what: `in its ${jobFile}` });
  } catch (error) {
    throw new CornerNetError('ERR_JOB', `${folder} can't be a job's folder: ${sentenceOf(error)}`, { cause: error });
  }
}

export function writeJob(folder: string, job: JobFile): Promise<void> {
  return writeText(join(folder, jobFile), `${JSON.stringify(job, null, 2)}\n`);
}

/** Class ids are the same as numbers and as text, of which the command line knows nothing else. */
function comparable(value: unknown): unknown {
  return Array.isArray(value) && value.every((one) => typeof one !== 'object') ? value.map(String) : value;
}

/** @throws {CornerNetError} `ERR_JOB` saying what differs. */
export function compareJob(folder: string, job: JobFile, request: JobRequest): void {
  const plain = JSON.parse(JSON.stringify(request.settings)) as Record<string, unknown>;
  const names = [...new Set([...Object.keys(job.settings), ...Object.keys(plain)])];
  // The same relative inputs are others in another folder.
  const here = !request.inputs.every((input) => isAbsolute(input));
  refuseDifferences(`the job in ${folder}`, [
    difference(`the checkpoint (sha256) of ${job.weights.given}`, job.weights.sha256.slice(0, 16), request.weights.sha256.slice(0, 16)),
    ...names.map((name) => difference(name, comparable(job.settings[name]), comparable(plain[name]))),
    request.precision === undefined || request.precision === 'auto' ? undefined : difference('precision', job.precision, request.precision),
    difference('inputs', job.inputs, request.inputs),
    here ? difference('the current folder', baseOf(job), baseOf(request)) : undefined,
    difference('limit', job.limit, request.limit),
    difference('shard', job.shard, request.shard),
    difference('hashInputs', job.hashInputs, request.hashInputs),
  ]);
}
