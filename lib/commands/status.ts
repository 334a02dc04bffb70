// cornernet status: what a queue holds, who works on it and how fast.
import Table from 'cli-table3';
import { Option, type Command } from 'commander';

import { queueStatus } from '../jobs/queue/status.js';
import { queueTable } from '../jobs/options.js';
import { addTableOptions } from '../options/flags.js';
import { requiredQueueOf } from './queue-options.js';

export function register(command: Command): void {
  command.addOption(new Option('--format <format>', 'how').choices(['table', 'json']).default('table')).action(show);
  addTableOptions(command, queueTable, ['root']);
}

async function show(flags: { readonly format: 'table' | 'json' }): Promise<void> {
  const status = await queueStatus(requiredQueueOf(flags));
  if (flags.format === 'json') {
    console.log(JSON.stringify(status));
    return;
  }
  const { waiting, active, delayed, failed, workers, rate, errors, reasons } = status;
  console.log(`chunks: ${waiting} waiting, ${active} in work, ${delayed} given back, ${failed} refused`);
  console.log(`${workers.length} workers, ${rate.toFixed(1)} pictures/s, ${errors} pictures failed`);
  const table = new Table({ head: ['worker', 'device', 'pictures', 'failed', 'pictures/s'], style: { head: [], border: [] } });
  for (const worker of workers) {
    table.push([`${worker.host} ${worker.pid}`, worker.device ?? 'not yet', worker.pictures, worker.errors, worker.rate.toFixed(1)]);
  }
  if (workers.length > 0) console.log(table.toString());
  for (const reason of reasons) console.log(`given back: ${reason}`);
}
