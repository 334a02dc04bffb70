// A picture of a job's list when its turn comes: one that has changed since isn't computed, so that no job holds results of two states unsaid.
import { CornerNetError } from '../errors.js';
import type { BlobLike, ImageSource } from '../images/source.js';
import { sourceOf, type Entry } from '../inputs/entry.js';
import { changeOf } from '../inputs/seen.js';
import { openRegular, readBytes } from '../regular-file.js';
import type { Position } from './list.js';

export type Listed = Pick<Position, 'image' | 'seen'>;

/** @throws {CornerNetError} `ERR_INPUT` when it isn't as it was listed. */
export async function refuseChanged(entry: Entry, { image, seen }: Listed): Promise<void> {
  const change = await changeOf(entry, seen, true);
  if (change === undefined) return;
  const sentence = `${image} has changed since the job's list was frozen (${change}): --retry-errors takes it as it is now`;
  throw new CornerNetError('ERR_INPUT', sentence);
}

/** As {@link sourceOf}; the look is a part of reading it, under the same deadline: where a file system hangs, it would hang too. */
export function listedSource(entry: Entry, listed: Listed): ImageSource {
  const source = sourceOf(entry);
  if (!listed.seen) return source;
  const { size } = entry.member ?? listed.seen;
  const arrayBuffer = async (): Promise<ArrayBuffer> => {
    await refuseChanged(entry, listed);
    if (entry.member) return (source as BlobLike).arrayBuffer();
    await using file = (await openRegular(entry.path)).file;
    return (await readBytes(file, 0, size)).buffer;
  };
  return { name: entry.path, size, arrayBuffer } as BlobLike;
}
