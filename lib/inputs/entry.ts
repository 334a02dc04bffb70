// One picture of a list: a file, a member of a tar file, or bytes from standard input.
import { z } from 'zod';

import { CornerNetError, sentenceOf } from '../errors.js';
import type { BlobLike } from '../images/source.js';
import { openRegular, readBytes } from '../regular-file.js';

export interface Entry {
  /** How results name it: the file's path (file-names.ts), or the tar file's and the member's joined by a slash. */
  readonly path: string;
  /** Where its bytes lie when it is a member of a tar file. */
  readonly member?: { readonly tar: string; readonly offset: number; readonly size: number } | undefined;
  /** Those of a picture on standard input, which no list on disk has. */
  readonly bytes?: Uint8Array | undefined;
}

export const entrySchema = z.strictObject({
  path: z.string().min(1),
  member: z.strictObject({ tar: z.string().min(1), offset: z.int().min(0), size: z.int().min(0) }).optional(),
});

/** Where its bytes are is mapped; a member's own name is only a name, whatever it looks like. */
export function mapPaths({ path, member }: Entry, map: (path: string) => string): Entry {
  if (!member) return { path: map(path) };
  const tar = map(member.tar);
  return { path: `${tar}/${path.slice(member.tar.length + 1)}`, member: { ...member, tar } };
}

/** Read when its turn comes: tar files of large pictures would fill the memory. */
function memberSource(path: string, { tar, offset, size }: NonNullable<Entry['member']>): BlobLike & { readonly name: string } {
  const arrayBuffer = async (): Promise<ArrayBuffer> => {
    try {
      const { file, size: whole } = await openRegular(tar);
      const read = await readBytes(file, offset, Math.min(size, Math.max(0, whole - offset))).finally(() => file.close());
      if (read.length < size) throw new Error(`it ends before ${offset + size} bytes`);
      return read.buffer;
    } catch (error) {
      throw new CornerNetError('ERR_INPUT', `${path} can't be read from ${tar}: ${sentenceOf(error)}`, { cause: error });
    }
  };
  return { name: path, size, arrayBuffer };
}

/** What a detector takes of it: the path, or the bytes. */
export function sourceOf({ path, member, bytes }: Entry): string | Uint8Array | BlobLike {
  return member ? memberSource(path, member) : (bytes ?? path);
}
