// One picture of a list: a file, a member of a tar file, or bytes from standard input.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { z } from 'zod';

import { CornerNetError, sentenceOf } from '../errors.js';
import { onDisk } from './file-names.js';

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

/** A file that only its name's bytes lead to. */
async function readRaw(path: string, name: Buffer): Promise<Uint8Array> {
  try {
    await using file = await open(name, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) throw new Error('it is no file');
    return await file.readFile();
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${path} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
}

/**
 * What a detector takes of it: the path, or the bytes.
 * @throws {CornerNetError} `ERR_INPUT` when the tar file, or a file whose name is no UTF-8, can't be read.
 */
export async function sourceOf({ path, member, bytes }: Entry): Promise<string | Uint8Array> {
  if (bytes) return bytes;
  const name = onDisk(path);
  if (!member) return typeof name === 'string' ? name : readRaw(path, name);
  try {
    await using file = await open(onDisk(member.tar));
    const read = Buffer.alloc(member.size);
    for (let at = 0; at < member.size;) {
      const { bytesRead } = await file.read(read, at, member.size - at, member.offset + at);
      if (bytesRead === 0) throw new Error(`it ends before ${member.offset + member.size} bytes`);
      at += bytesRead;
    }
    return read;
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${path} can't be read from ${member.tar}: ${sentenceOf(error)}`, { cause: error });
  }
}
