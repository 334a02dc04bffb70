// cornernet setup: the explicit step that finds or fetches LibTorch and builds the addon.
import type { Command } from 'commander';

import { CornerNetError, sentenceOf } from '../errors.js';
import { setUp } from '../setup.js';

export function register(command: Command): void {
  command
    .addHelpText(
      'after',
      `
LibTorch is looked for in $LIBTORCH, then in Python's torch, then in the cache ($CORNERNET_CACHE, default ~/.cache/cornernet), and
fetched where none works: 2.11 to 2.13. CORNERNET_CUDA=0 or 1 leaves the CUDA side out or insists on it.
CORNERNET_LIBTORCH_URL and CORNERNET_LIBTORCH_SHA256 name another place and checksum of the official archive.`,
    )
    .action(async () => {
      try {
        await setUp();
      } catch (error) {
        throw error instanceof CornerNetError ? error : new CornerNetError('ERR_LIBTORCH', sentenceOf(error), { cause: error });
      }
    });
}
