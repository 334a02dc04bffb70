// A detector of exactly the checkpoint that a job was begun with, whatever lies at its path by now.
import { stat } from 'node:fs/promises';

import { Detector } from '../detector/detector.js';
import { CornerNetError } from '../errors.js';
import type { LoadOptions } from '../options/interfaces.js';
import { resolveWeights, sha256 } from '../weights/weights.js';

/** Weights as they were named, and the digest of their file. */
export interface PinnedWeights {
  readonly given: string;
  readonly sha256: string;
}

/** What changes with every write to a file and every other file under its name. */
export async function stateOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

/**
 * Takes the digest beside the load; a file that stayed as it was before both, and is so after both, had one content for both.
 * @throws {CornerNetError} `ERR_CHECKPOINT` when the file is another, and as `Detector.load`.
 */
export async function loadPinned(weights: PinnedWeights, options: LoadOptions): Promise<Detector> {
  const { path } = resolveWeights(weights.given);
  const before = await stateOf(path);
  const [digest, load] = await Promise.allSettled([sha256(path), Detector.load(weights.given, options)]);
  try {
    if (digest.status === 'rejected') throw digest.reason;
    if (digest.value !== weights.sha256) {
      throw new CornerNetError('ERR_CHECKPOINT', `${path} has the sha256 ${digest.value}, the job's weights have ${weights.sha256}`);
    }
    if (load.status === 'rejected') throw load.reason;
    if ((await stateOf(path)) !== before) throw new CornerNetError('ERR_CHECKPOINT', `${path} was changed while it was loaded`);
    return load.value;
  } catch (error) {
    if (load.status === 'fulfilled') await load.value.close();
    throw error;
  }
}
