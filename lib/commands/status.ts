// cornernet status: what a queue holds, who works on it and how fast.
import { Option, type Command } from 'commander';

import { queueStatus } from '../jobs/queue/status.js';
import { queueTable } from '../jobs/options.js';
import { addTableOptions } from '../options/flags.js';
import { print, printMade } from './terminal.js';
import { textTable } from '../text-table.js';
import { requiredQueueOf } from './queue-options.js';

export function register(command: Command): void {
  command.addOption(new Option('--format <format>', 'how to show it').choices(['table', 'json']).default('table')).action(show);
  addTableOptions(command, queueTable, ['root', 'keyFile']);
}

async function show(flags: { readonly format: 'table' | 'json' }): Promise<void> {
  const status = await queueStatus(requiredQueueOf(flags));
  if (flags.format === 'json') {
    printMade(JSON.stringify(status));
    return;
  }
  const { waiting, active, delayed, failed, workers, rate, errors, reasons } = status;
  print(`chunks: ${waiting} waiting, ${active} in work, ${delayed} given back, ${failed} refused`);
  print(`${workers.length} workers, ${rate.toFixed(1)} pictures/s, ${errors} pictures failed`);
  const rows = workers.map(({ host, pid, device, ...of }) => [
    ...[`${host} ${pid}`, device ?? 'not yet'],
    ...[String(of.pictures), String(of.errors), of.rate.toFixed(1)],
  ]);
  if (rows.length > 0) printMade(textTable(['worker', 'device', 'pictures', 'failed', 'pictures/s'], rows));
  for (const reason of reasons) print(`given back: ${reason}`);
}
