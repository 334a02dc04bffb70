// Where the package keeps what it fetches.
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `$CORNERNET_CACHE`, else `cornernet` in the XDG cache folder. */
export function cacheFolder(): string {
  const chosen = process.env['CORNERNET_CACHE'];
  if (chosen) return chosen;
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cornernet');
}

/** Where fetched weights are. */
export function weightsFolder(): string {
  return join(cacheFolder(), 'weights');
}
