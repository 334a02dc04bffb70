// cornernet setup: the explicit step that finds or fetches LibTorch and readies the addon.
import type { Command } from 'commander';

import { CornerNetError, sentenceOf } from '../errors.js';
import { isUnwritable, unwritable } from '../output-file.js';
import { script, type SetupOptions } from '../setup.js';
import { print } from './terminal.js';

export function register(command: Command): void {
  command
    .option('--libtorch <build>', 'cpu, cu126, cu130 or a folder (/... or ./...) (default: $LIBTORCH, else what suits the machine)')
    .option('--source', 'build the addon here, though a prebuilt one fits')
    .addHelpText(
      'after',
      `
LibTorch is looked for in Python's torch, then in the cache ($CORNERNET_CACHE, default ~/.cache/cornernet), and fetched where none works
or suits: 2.11 to 2.14, with an NVIDIA GPU a CUDA build. The addon is the prebuilt one (a package cornernet-linux-<processor>-<build>) where it
fits, else it is built. CORNERNET_CUDA=0 or 1 leaves the CUDA side out or insists on it.
CORNERNET_LIBTORCH_URL and CORNERNET_LIBTORCH_SHA256 name another place and checksum of the official archive.`,
    )
    .action(async (options: SetupOptions) => {
      try {
        print((await script('setup.js').setUp(options)) ?? 'Everything is in place');
      } catch (error) {
        if (error instanceof CornerNetError) throw error;
        const { path } = error as NodeJS.ErrnoException;
        if (path !== undefined && isUnwritable(error)) throw unwritable(path, error);
        throw new CornerNetError('ERR_LIBTORCH', sentenceOf(error), { cause: error });
      }
    });
}
