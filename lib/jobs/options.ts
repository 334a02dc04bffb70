// The tables of a job's, a queue's and a worker's options: their validation is here, flags and help come from them in the commands, and
// scripts/generate-options.ts writes their types (interfaces.ts).
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { checkLoadOptions } from '../options/check.js';
import { checkControls } from '../options/controls.js';
import type { LoadOptions } from '../options/interfaces.js';
import { bool, callTable, headed, loadTable, number, option, shapeOf, text, word } from '../options/table.js';
import { defaultMaxPixels } from '../options/values.js';
import { validated } from '../validation.js';
import type { BatchJob, QueueOptions, WorkerOptions } from './interfaces.js';
import type { Shard } from './types.js';

const metrics = number(
  z.int().min(0).max(65_535),
  'serve numbers for Prometheus (/metrics) and a health check (/health) on this port of the loopback; 0: on any, which is said',
  'off',
  { placeholder: 'port' },
);

export const queueTable = headed('Queue', {
  url: option(
    z.string(),
    'string',
    'where the queue is: redis://[user:password@]host[:port][/db], or rediss:// with TLS',
    '$CORNERNET_QUEUE',
    { required: true, flag: 'text', flagName: 'queue', placeholder: 'url' },
  ),
  name: option(
    z.string().regex(/^[^:]+$/, 'must have no colon, and not be empty'),
    'string',
    'which of several queues in one Redis',
    'cornernet',
    { flag: 'text', flagName: 'queueName', placeholder: 'name' },
  ),
  root: text(
    'the folder that holds all pictures, wherever each machine has it: paths in the queue are relative to it, nothing outside is sent or read',
    'the current folder',
    { placeholder: 'folder' },
  ),
  ca: text("PEM file of the authority that signed the server's certificate", "the system's", { flagName: 'queueCa', placeholder: 'file' }),
  keyFile: text(
    'file of a key of 16 bytes or more that batch and workers share: messages are signed with it, and others refused',
    'none: messages are not signed',
    { flagName: 'queueKeyFile', placeholder: 'file' },
  ),
});

const queueSchema = z.strictObject(shapeOf(queueTable));

const shardSchema = z
  .strictObject({ index: z.int().min(1), count: z.int().min(1) })
  .refine(({ index, count }) => index <= count, 'its index is beyond its count');

function parseShard(given: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(given) ?? [];
  if (index !== undefined && count !== undefined) return { index: Number(index), count: Number(count) };
  throw new CornerNetError('ERR_OPTION', `--shard takes i/n, as in 2/8, not '${given}'`);
}

export const batchTable = headed('Job', {
  inputs: option(
    z.array(z.string().min(1)).readonly(),
    'readonly string[]',
    'pictures, folders, globs, lists of paths (.txt, .lst, .list), tar files, or - for a list on standard input',
    'those the job was begun with',
  ),
  output: text("the job's folder: made when it isn't there, gone on with when it is", '', {
    required: true,
    short: 'o',
    placeholder: 'folder',
  }),
  weights: option(z.string(), 'string', 'as in `Detector.load`', 'the digits'),
  options: option(z.unknown(), 'LoadOptions', "the detector's options", 'as in `Detector.load`'),
  format: word(['jsonl', 'coco', 'csv'], 'what is written beside results-*.jsonl at the end: coco or csv', 'jsonl: nothing', {
    type: 'BatchFormat',
    short: 'f',
    placeholder: 'format',
  }),
  annotations: option(
    z.string(),
    'string',
    'COCO annotations whose picture and category ids the format coco uses',
    'positions and class ids',
    { flag: 'text', placeholder: 'file' },
  ),
  limit: number(z.int().min(1), 'at most so many pictures (of the shard)', 'all'),
  shard: option(shardSchema, 'Shard', 'every nth picture from the ith, for n machines that share nothing', 'all', {
    flag: 'text',
    placeholder: 'i/n',
    parse: parseShard,
  }),
  hashInputs: bool(
    'on',
    'know a picture that has changed since the start by its sha256, which is taken of all at the start, instead of its size and time',
    'off',
  ),
  retryErrors: bool('on', 'try the pictures again that failed', 'off'),
  maxErrors: number(z.int().min(0), 'stop when more pictures than this have failed', 'never'),
  metrics,
  queue: option(queueSchema, 'QueueOptions', 'has workers on other machines compute the pictures', 'none: they are computed here'),
});

const { device, threads, batchSize } = loadTable;
const { timeout } = callTable;
/** Each worker's own. */
const workersRows = { device, threads, batchSize, timeout };

/** What a queue's messages may ask of a worker, unless its own options say otherwise. */
export const workerLimits = { maxPixels: defaultMaxPixels, maxPerImage: 10_000, cornerTopk: 1_000 } as const;

function limitRow(name: keyof typeof workerLimits) {
  return number(callTable[name].schema, `refuse jobs that ask for a higher ${name}`, workerLimits[name].toLocaleString('en'));
}

export const workerTable = headed('Queue', {
  queue: option(queueSchema, 'QueueOptions', 'where the work comes from', '', { required: true }),
  options: option(
    z.strictObject(shapeOf(workersRows)),
    "Pick<LoadOptions, 'device' | 'threads' | 'batchSize' | 'timeout'>",
    'where this machine computes, and how long a picture may take',
    'as in `Detector.load`',
  ),
  weights: text(
    "where the job's weights are on this machine; only for jobs whose checkpoint has the same checksum",
    'the id, or the path below the root, that the job names',
    { short: 'w', placeholder: 'id|file' },
  ),
  metrics,
  maxPixels: limitRow('maxPixels'),
  maxPerImage: limitRow('maxPerImage'),
  cornerTopk: limitRow('cornerTopk'),
});

const batchSchema = z.strictObject(shapeOf(batchTable));
const workerSchema = z.strictObject(shapeOf(workerTable));

/** @throws {CornerNetError} `ERR_OPTION`. */
export function checkJob(job: unknown): BatchJob {
  const checked = validated(batchSchema, job, { code: 'ERR_OPTION', what: 'batch option' });
  if (checked.annotations !== undefined && checked.format !== 'coco')
    throw new CornerNetError('ERR_OPTION', "batch option annotations is for the format 'coco' only");
  const options = checkLoadOptions(checked.options ?? {});
  if (checked.queue) refuseUnsent(options);
  return { ...checked, options };
}

/** What goes through no queue, and would be given in vain. */
function refuseUnsent(options: LoadOptions): void {
  // The batch looks at pictures itself, for which it has its own timeout.
  const ofWorkers = (Object.keys(workersRows) as (keyof typeof workersRows)[]).filter((name) => name !== 'timeout');
  const unsent = [...ofWorkers, 'deterministic', 'cudaGraphs'] as const;
  const name = unsent.find((one) => options[one] !== undefined);
  if (name === undefined) return;
  const place = Object.hasOwn(workersRows, name) ? "it belongs to each worker's command (runWorker)" : 'no worker takes it';
  throw new CornerNetError('ERR_OPTION', `option ${name} goes through no queue: ${place}`);
}

/** As {@link checkJob}, of a queue by itself. */
export function checkQueue(queue: unknown): QueueOptions {
  return validated(queueSchema, queue, { code: 'ERR_OPTION', what: 'queue option' });
}

/** As {@link checkJob}, of a worker. */
export function checkWorker(given: WorkerOptions): WorkerOptions {
  const { signal, finish, onMessage, ...options } = Object(given) as WorkerOptions;
  const controls = checkControls({ signal, finish, onMessage }, 'signal', 'finish', 'onMessage');
  const checked = validated(workerSchema, options, { code: 'ERR_OPTION', what: 'worker option' });
  return { ...checked, options: checkLoadOptions(checked.options ?? {}), ...controls };
}
