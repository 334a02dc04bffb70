// One picture of a list: a file, or a part of a tar shard.
import { open } from 'node:fs/promises';

import { z } from 'zod';

import { CornerNetError, sentenceOf } from '../errors.js';

export interface Entry {
  /** How results name it: the file's path, or the shard's and the member's joined by a slash. */
  readonly path: string;
  /** Where its bytes lie when it is a member of a tar file. */
  readonly shard?: { readonly file: string; readonly offset: number; readonly size: number } | undefined;
}

export const entrySchema = z.strictObject({
  path: z.string().min(1),
  shard: z.strictObject({ file: z.string().min(1), offset: z.int().min(0), size: z.int().min(0) }).optional(),
});

/**
 * What a detector takes of it: the path, or the member's bytes.
 * @throws {CornerNetError} `ERR_INPUT` when the shard can't be read.
 */
export async function sourceOf({ path, shard }: Entry): Promise<string | Uint8Array> {
  if (!shard) return path;
  try {
    await using file = await open(shard.file);
    const bytes = Buffer.alloc(shard.size);
    const { bytesRead } = await file.read(bytes, 0, shard.size, shard.offset);
    if (bytesRead < shard.size) throw new Error(`it ends before ${shard.offset + shard.size} bytes`);
    return bytes;
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${path} can't be read from ${shard.file}: ${sentenceOf(error)}`, { cause: error });
  }
}
