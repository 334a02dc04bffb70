// Where the package keeps what it fetches.
import { join } from 'node:path';

import { CornerNetError, sentenceOf } from '../errors.js';
import { script } from '../setup.js';

/**
 * `$CORNERNET_CACHE`, else `cornernet` in the XDG cache folder.
 * @throws {CornerNetError} `ERR_OPTION` when it is a relative path.
 */
export function cacheFolder(): string {
  try {
    return script('paths.js').cacheFolder();
  } catch (error) {
    throw new CornerNetError('ERR_OPTION', sentenceOf(error), { cause: error });
  }
}

/** Where fetched weights are. */
export function weightsFolder(): string {
  return join(cacheFolder(), 'weights');
}
