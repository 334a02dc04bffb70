// cornernet worker: computes pictures that a `cornernet batch --queue` elsewhere hands out.
import type { Command } from 'commander';

import { runWorker } from '../jobs/queue/worker.js';
import { CornerNetError } from '../errors.js';
import { addDetectorOptions, given, loadOptionsOf, type DetectorFlags } from '../options/flags.js';
import { exitCodes } from './failure.js';
import { onInterrupt } from './interrupt.js';
import { addQueueOptions, queueOptionsOf, type QueueFlags } from './queue-options.js';

type WorkerFlags = QueueFlags & Pick<DetectorFlags, 'weights' | 'device' | 'threads' | 'batchSize'>;

export function register(command: Command): void {
  command
    .option('--root <folder>', 'where the pictures are on this machine: nothing outside it is read (default: the current folder)')
    .option(
      '-w, --weights <id|file>',
      "where the job's weights are on this machine (default: the id, or the path below the root, that the job names)",
    )
    .action(async (flags: WorkerFlags) => {
      process.exit(await work(flags)); // connections to a server that is away would go on trying
    });
  addDetectorOptions(command, ['device', 'threads', 'batchSize']);
  addQueueOptions(command);
}

async function work(flags: WorkerFlags): Promise<number> {
  const queue = queueOptionsOf(flags);
  if (!queue) throw new CornerNetError('ERR_OPTION', 'name the queue: --queue redis://host, or CORNERNET_QUEUE');
  const say = (text: string): void => console.error(`cornernet: ${text}`);
  const interrupt = onInterrupt(say);
  const { weights, ...place } = flags;
  try {
    const options = loadOptionsOf(place);
    await runWorker(given({ queue, options, weights, finish: interrupt.finish, signal: interrupt.signal, onMessage: say }));
    return exitCodes.done;
  } finally {
    interrupt.release();
  }
}
