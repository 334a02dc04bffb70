// The command line's words for a queue.
import type { Command } from 'commander';

import type { QueueOptions } from '../jobs/types.js';
import { given } from '../options/flags.js';

export interface QueueFlags {
  readonly queue?: string;
  readonly queueName?: string;
  readonly queueCa?: string;
  readonly root?: string;
}

export function addQueueOptions(command: Command): Command {
  return command
    .option('--queue <url>', 'the queue: redis://[user:password@]host[:port][/db], or rediss:// with TLS (default: $CORNERNET_QUEUE)')
    .option('--queue-name <name>', 'which of several queues in one Redis (default: cornernet)')
    .option('--queue-ca <file>', "PEM file of the authority that signed the server's certificate (default: the system's)");
}

/** Undefined without a queue. The environment keeps a password out of the list of processes. */
export function queueOptionsOf(flags: QueueFlags): QueueOptions | undefined {
  const url = flags.queue ?? process.env['CORNERNET_QUEUE'];
  return url === undefined || url === '' ? undefined : given({ url, name: flags.queueName, ca: flags.queueCa, root: flags.root });
}
