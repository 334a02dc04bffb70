// Files from outside are opened only when they are regular ones: anything else (a FIFO, a socket, a device) may never give a byte, or do something.
import { constants as buffers } from 'node:buffer';
import { constants, readFileSync, statSync, type Stats } from 'node:fs';
import { stat, type FileHandle } from 'node:fs/promises';

import { CornerNetError, sentenceOf } from './errors.js';
import { openFile } from './file-handle.js';
import { onDisk } from './inputs/file-names.js';

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a FIFO';
  return stats.isSocket() ? 'a socket' : 'a device';
}

/** @throws {Error} saying what it is instead. */
function checkRegular(stats: Stats): void {
  if (!stats.isFile()) throw new Error(`it is ${kindOf(stats)}, not a regular file`);
}

/**
 * Opens it to be read; what lies at the path by then is checked once more, and opening never waits.
 * @throws {Error} of the system, or saying what it is instead of a regular file.
 */
export async function openRegular(path: string): Promise<{ readonly file: FileHandle; readonly size: number }> {
  const name = onDisk(path);
  checkRegular(await stat(name));
  const file = await openFile(name, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stats = await file.stat();
    checkRegular(stats);
    return { file, size: stats.size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * At once, for the small files that a start needs.
 * @throws {Error} as {@link openRegular}.
 */
export function readRegular(path: string): Buffer {
  checkRegular(statSync(onDisk(path)));
  return readFileSync(onDisk(path));
}

/**
 * The whole of a text file that somebody else may have put there, without a byte order mark.
 * @throws {Error} as {@link openRegular}, or saying that it is longer than a string can be.
 */
export async function readText(path: string): Promise<string> {
  const { file: opened, size } = await openRegular(path);
  await using file = opened;
  if (size > buffers.MAX_STRING_LENGTH) throw new Error(`it has ${Math.ceil(size / 2 ** 20)} MiB, and no more than 512 can be read`);
  return (await file.readFile('utf8')).replace(/^\uFEFF/, '');
}

/** @throws {CornerNetError} `ERR_INPUT`. */
export async function readJson(path: string): Promise<unknown> {
  try {
    const text = await readText(path);
    if (text.startsWith('\x1f\ufffd')) throw new Error('it is compressed by gzip');
    if (/^(\ufffd\ufffd|.?\0)/.test(text)) throw new Error('it is UTF-16, or no text at all, and not UTF-8');
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${path} can't be read as JSON: ${sentenceOf(error)}`, { cause: error });
  }
}

/** So many bytes from `offset`, or as many as there are. */
export async function readBytes(file: FileHandle, offset: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = Buffer.allocUnsafeSlow(size) as Uint8Array<ArrayBuffer>; // with an ArrayBuffer of its own
  let read = 0;
  while (read < size) {
    const { bytesRead } = await file.read(bytes, read, size - read, offset + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return read < size ? bytes.slice(0, read) : bytes;
}
