// The tables of a job's, a queue's and a worker's options: their validation is here, flags and help come from them in the commands, and
// scripts/generate-options.ts writes their types (interfaces.ts).
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { checkLoadOptions } from '../options/check.js';
import { callTable, headed, loadTable, shapeOf } from '../options/table.js';
import { defaultMaxPixels } from '../options/values.js';
import { validated } from '../validation.js';
import type { BatchJob, QueueOptions, WorkerOptions } from './interfaces.js';
import type { Shard } from './types.js';

const text = z.string().min(1);

const metrics = {
  schema: z.int().min(0).max(65_535),
  type: 'number',
  flag: 'number',
  placeholder: 'port',
  about: 'serve numbers for Prometheus (/metrics) and a health check (/health) on this port of the loopback; 0: on any, which is said',
  standard: 'off',
} as const;

export const queueTable = headed('Queue', {
  url: {
    ...{ schema: z.string(), type: 'string', required: true, flag: 'text', flagName: 'queue', placeholder: 'url' },
    about: 'where the queue is: redis://[user:password@]host[:port][/db], or rediss:// with TLS',
    standard: '$CORNERNET_QUEUE',
  },
  name: {
    ...{ schema: text.regex(/^[^:]*$/, 'must have no colon'), type: 'string', flag: 'text', flagName: 'queueName', placeholder: 'name' },
    about: 'which of several queues in one Redis',
    standard: 'cornernet',
  },
  root: {
    ...{ schema: text, type: 'string', flag: 'text', placeholder: 'folder' },
    about:
      'the folder that holds all pictures, wherever each machine has it: paths in the queue are relative to it, nothing outside is sent or read',
    standard: 'the current folder',
  },
  ca: {
    ...{ schema: text, type: 'string', flag: 'text', flagName: 'queueCa', placeholder: 'file' },
    about: "PEM file of the authority that signed the server's certificate",
    standard: "the system's",
  },
  keyFile: {
    ...{ schema: text, type: 'string', flag: 'text', flagName: 'queueKeyFile', placeholder: 'file' },
    about: 'file of a key of 16 bytes or more that batch and workers share: messages are signed with it, and others refused',
    standard: 'none: messages are not signed',
  },
});

const queueSchema = z.strictObject({ ...shapeOf(queueTable), url: queueTable.url.schema });

const shardSchema = z
  .strictObject({ index: z.int().min(1), count: z.int().min(1) })
  .refine(({ index, count }) => index <= count, 'its index is beyond its count');

function parseShard(given: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(given) ?? [];
  if (index !== undefined && count !== undefined) return { index: Number(index), count: Number(count) };
  throw new CornerNetError('ERR_OPTION', `--shard takes i/n, as in 2/8, not '${given}'`);
}

export const batchTable = headed('Job', {
  inputs: {
    ...{ schema: z.array(text).readonly(), type: 'readonly string[]' },
    about: 'pictures, folders, globs, lists of paths (.txt, .lst, .list), tar files, or - for a list on standard input',
    standard: 'those the job was begun with',
  },
  output: {
    ...{ schema: text, type: 'string', required: true, flag: 'text', short: 'o', placeholder: 'folder' },
    about: "the job's folder: made when it isn't there, gone on with when it is",
    standard: '',
  },
  weights: { schema: z.string(), type: 'string', about: 'as in `Detector.load`', standard: 'the digits' },
  options: { schema: z.unknown(), type: 'LoadOptions', about: "the detector's options", standard: 'as in `Detector.load`' },
  format: {
    ...{ schema: z.enum(['jsonl', 'coco', 'csv']), type: 'BatchFormat', flag: 'text', short: 'f', placeholder: 'format' },
    about: 'what is written beside results-*.jsonl at the end: coco or csv',
    standard: 'jsonl: nothing',
  },
  annotations: {
    ...{ schema: z.string(), type: 'string', flag: 'text', placeholder: 'file' },
    about: 'COCO annotations whose picture and category ids the format coco uses',
    standard: 'positions and class ids',
  },
  limit: { schema: z.int().min(1), type: 'number', flag: 'number', about: 'at most so many pictures (of the shard)', standard: 'all' },
  shard: {
    ...{ schema: shardSchema, type: 'Shard', flag: 'text', placeholder: 'i/n', parse: parseShard },
    about: 'every nth picture from the ith, for n machines that share nothing',
    standard: 'all',
  },
  hashInputs: {
    ...{ schema: z.boolean(), type: 'boolean', flag: 'on' },
    about:
      'know a picture that has changed since the start by its sha256, which is taken of all at the start, instead of its size and time',
    standard: 'off',
  },
  retryErrors: { schema: z.boolean(), type: 'boolean', flag: 'on', about: 'try the pictures again that failed', standard: 'off' },
  maxErrors: {
    ...{ schema: z.int().min(0), type: 'number', flag: 'number' },
    about: 'stop when more pictures than this have failed',
    standard: 'never',
  },
  metrics,
  queue: {
    ...{ schema: queueSchema, type: 'QueueOptions' },
    about: 'has workers on other machines compute the pictures',
    standard: 'none: they are computed here',
  },
});

const { device, threads, batchSize } = loadTable;
const { timeout } = callTable;

/** What a queue's messages may ask of a worker, unless its own options say otherwise. */
export const workerLimits = { maxPixels: defaultMaxPixels, maxPerImage: 10_000, cornerTopk: 1_000 } as const;

function limitRow(name: keyof typeof workerLimits) {
  const about = `refuse jobs that ask for a higher ${name}`;
  return {
    schema: callTable[name].schema,
    type: 'number',
    flag: 'number',
    about,
    standard: workerLimits[name].toLocaleString('en'),
  } as const;
}

export const workerTable = headed('Queue', {
  queue: { schema: queueSchema, type: 'QueueOptions', required: true, about: 'where the work comes from', standard: '' },
  options: {
    ...{
      schema: z.strictObject(shapeOf({ device, threads, batchSize, timeout })),
      type: "Pick<LoadOptions, 'device' | 'threads' | 'batchSize' | 'timeout'>",
    },
    about: 'where this machine computes, and how long a picture may take',
    standard: 'as in `Detector.load`',
  },
  weights: {
    ...{ schema: text, type: 'string', flag: 'text', short: 'w', placeholder: 'id|file' },
    about: "where the job's weights are on this machine; only for jobs whose checkpoint has the same checksum",
    standard: 'the id, or the path below the root, that the job names',
  },
  metrics,
  maxPixels: limitRow('maxPixels'),
  maxPerImage: limitRow('maxPerImage'),
  cornerTopk: limitRow('cornerTopk'),
});

const batchSchema = z.strictObject({ ...shapeOf(batchTable), output: batchTable.output.schema });
const workerSchema = z.strictObject({ ...shapeOf(workerTable), queue: queueSchema });

/** @throws {CornerNetError} `ERR_OPTION`. */
export function checkJob(job: unknown): BatchJob {
  const checked = validated(batchSchema, job, { code: 'ERR_OPTION', what: 'batch option' });
  if (checked.annotations !== undefined && checked.format !== 'coco')
    throw new CornerNetError('ERR_OPTION', "batch option annotations is for the format 'coco' only");
  return { ...checked, options: checkLoadOptions(checked.options ?? {}) };
}

/** As {@link checkJob}, of a queue by itself. */
export function checkQueue(queue: unknown): QueueOptions {
  return validated(queueSchema, queue, { code: 'ERR_OPTION', what: 'queue option' });
}

/** As {@link checkJob}, of a worker; its controls pass through. */
export function checkWorker({ signal, finish, onMessage, ...options }: WorkerOptions): WorkerOptions {
  const checked = validated(workerSchema, options, { code: 'ERR_OPTION', what: 'worker option' });
  return { ...checked, options: checkLoadOptions(checked.options ?? {}), signal, finish, onMessage };
}
