// The queue that a command line names.
import { CornerNetError } from '../errors.js';
import type { QueueOptions } from '../jobs/interfaces.js';
import { queueTable } from '../jobs/options.js';
import { tableOptionsOf } from '../options/flags.js';

/** Undefined without a queue. The environment keeps a password out of the list of processes. */
export function queueOptionsOf(flags: object): QueueOptions | undefined {
  const { url = process.env['CORNERNET_QUEUE'], ...others } = tableOptionsOf(queueTable, flags) as Partial<QueueOptions>;
  return url === undefined || url === '' ? undefined : { url, ...others };
}

/** @throws {CornerNetError} `ERR_OPTION` without a queue. */
export function requiredQueueOf(flags: object): QueueOptions {
  const queue = queueOptionsOf(flags);
  if (queue) return queue;
  throw new CornerNetError('ERR_OPTION', 'name the queue: --queue redis://host, or CORNERNET_QUEUE');
}
