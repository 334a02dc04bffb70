// The queue that a command line names.
import { CornerNetError } from '../errors.js';
import type { QueueOptions } from '../jobs/interfaces.js';
import { queueTable } from '../jobs/options.js';
import { tableOptionsOf } from '../options/flags.js';

const naming = '--queue redis://host, or CORNERNET_QUEUE';

/**
 * Undefined without a queue. The environment keeps a password out of the list of processes.
 * @throws {CornerNetError} `ERR_OPTION` for options of a queue without one.
 */
export function queueOptionsOf(flags: object): QueueOptions | undefined {
  const { url = process.env['CORNERNET_QUEUE'], ...others } = tableOptionsOf(queueTable, flags) as Partial<QueueOptions>;
  if (url !== undefined && url !== '') return { url, ...others };
  const [other] = Object.keys(others);
  if (other === undefined) return undefined;
  throw new CornerNetError('ERR_OPTION', `queue option ${other} is for a queue, and none is named: ${naming}`);
}

/** @throws {CornerNetError} `ERR_OPTION` without a queue. */
export function requiredQueueOf(flags: object): QueueOptions {
  const queue = queueOptionsOf(flags);
  if (queue) return queue;
  throw new CornerNetError('ERR_OPTION', `name the queue: ${naming}`);
}
