// cornernet weights: the known checkpoints, and fetching and verifying them.
import { existsSync } from 'node:fs';

import type { Command } from 'commander';

import { print, printMade } from './terminal.js';
import { textTable } from '../text-table.js';
import { fetchWeights, listWeights, verifyWeights, weightsPath } from '../weights/weights.js';

function list(): void {
  const rows = listWeights().map((entry) => {
    const here = entry.file === undefined ? (existsSync(weightsPath(entry)) ? 'yes' : 'no') : 'in the package';
    return [entry.id, entry.config, entry.ap.toFixed(1), entry.flip ? 'yes' : 'no', here];
  });
  printMade(textTable(['id', 'configuration', 'AP', 'flip', 'here'], rows));
}

/** A line that is overwritten on a terminal; nothing elsewhere. */
function showBytes({ received, total }: { received: number; total?: number }): void {
  if (!process.stderr.isTTY) return;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  process.stderr.write(`\r\x1b[2K${megabytes(received)}${total === undefined ? '' : ` of ${megabytes(total)}`}`);
}

export function register(weights: Command): void {
  weights.command('list').description('the weights known by name').action(list);
  weights
    .command('fetch')
    .description('fetch published weights into the cache; goes on where it was interrupted')
    .argument('<id>', 'an id of `cornernet weights list`')
    .option('--mirror <url>', 'a folder (https) that has the files under the same names')
    .action(async (id: string, { mirror }: { mirror?: string }) => {
      const file = await fetchWeights(id, { ...(mirror !== undefined && { mirror }), onProgress: showBytes });
      if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K');
      print(file);
    });
  weights
    .command('verify')
    .description("hold a file's sha256 against the one that its name, the manifest or the file beside it (<file>.sha256) promises")
    .argument('<file>')
    .action(async (file: string) => {
      const { sha256, bytes, entry } = await verifyWeights(file);
      print(`${file}: ${bytes} bytes, sha256 ${sha256}${entry ? `, the weights ${entry.id}` : ', not a file of the manifest'}`);
    });
}
