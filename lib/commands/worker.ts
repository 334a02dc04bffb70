// cornernet worker: computes pictures that a `cornernet batch --queue` elsewhere hands out.
import type { Command } from 'commander';

import { isAtWork } from '../images/deadline.js';
import { queueTable, workerTable } from '../jobs/options.js';
import { runWorker } from '../jobs/queue/worker.js';
import { addDetectorOptions, addTableOptions, loadOptionsOf, tableOptionsOf, type DetectorFlags } from '../options/flags.js';
import { say } from './terminal.js';
import { exitCodes } from './failure.js';
import { onInterrupt } from './interrupt.js';
import { requiredQueueOf } from './queue-options.js';

type WorkerFlags = Pick<DetectorFlags, 'weights' | 'device' | 'threads' | 'batchSize' | 'timeout'>;

export function register(command: Command): void {
  addTableOptions(command, queueTable);
  addTableOptions(command, workerTable);
  addDetectorOptions(command, ['device', 'threads', 'batchSize', 'timeout']).action(async (flags: WorkerFlags) => {
    process.exitCode = await work(flags);
    // Connections to a server that is away would go on trying. This would wait for a thread that hangs: there the command line ends by a signal.
    if (!isAtWork()) process.exit();
  });
}

async function work(flags: WorkerFlags): Promise<number> {
  const queue = requiredQueueOf(flags);
  using interrupt = onInterrupt(say);
  const { finish, signal } = interrupt;
  await runWorker({ ...tableOptionsOf(workerTable, flags), queue, options: loadOptionsOf(flags), finish, signal, onMessage: say });
  return exitCodes.done;
}
