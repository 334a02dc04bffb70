// Lists of paths, a line each or between NUL bytes (find -print0), and standard input, which may be a picture instead.
import type { Readable } from 'node:stream';

import { CornerNetError, sentenceOf } from '../errors.js';
import { isPicture } from '../images/formats.js';
import type { Entry } from './entry.js';
import { textOfName } from './file-names.js';

/** Bytes by which a list is known from a picture and from anything else. */
const headBytes = 4096;
const longestPath = 65_536;
/** Of one picture, encoded. */
const mostBytes = 512 * 1024 ** 2;

async function* bytesOf(stream: Readable): AsyncGenerator<Buffer, void> {
  for await (const chunk of stream) yield Buffer.from(chunk as Uint8Array | string);
}

/** The first bytes, and all of them again. */
async function peek(chunks: AsyncGenerator<Buffer, void>): Promise<{ head: Buffer; all: AsyncGenerator<Buffer, void> }> {
  const first: Buffer[] = [];
  for (let length = 0; length < headBytes;) {
    const { done, value } = await chunks.next();
    if (done === true) break;
    first.push(value);
    length += value.length;
  }
  const head = Buffer.concat(first);
  const all = async function* (): AsyncGenerator<Buffer, void> {
    yield head;
    yield* chunks;
  };
  return { head, all: all() };
}

function noList(what: string): CornerNetError {
  return new CornerNetError('ERR_INPUT', `${what} is no list of paths (a line each, or between NUL bytes)`);
}

async function* split(head: Buffer, all: AsyncIterable<Buffer>, what: string): AsyncGenerator<Entry, void> {
  // eslint-disable-next-line no-control-regex -- these bytes are in no path that anyone lists
  if (/[\x01-\x08\x0e-\x1f]/.test(head.toString('latin1'))) throw noList(what);
  const separated = head.includes(0);
  // As Windows writes it: each letter would be a path.
  if (separated && /^(\xff\xfe|\xfe\xff)/.test(head.toString('latin1'))) throw noList(`${what}, in UTF-16,`);
  const separator = separated ? 0 : 10;
  // Trimming takes the mark too that Windows puts before UTF-8.
  const entries = (bytes: Buffer): Entry[] => {
    const path = separated ? textOfName(bytes) : textOfName(bytes).trim();
    return path === '' ? [] : [{ path }];
  };
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of all) {
    const bytes = Buffer.concat([rest, chunk]);
    let begin = 0;
    for (let at = bytes.indexOf(separator); at >= 0; at = bytes.indexOf(separator, begin)) {
      yield* entries(bytes.subarray(begin, at));
      begin = at + 1;
    }
    rest = bytes.subarray(begin);
    if (rest.length > longestPath) throw noList(what);
  }
  yield* entries(rest);
}

async function* readable<T>(what: string, all: AsyncIterable<T>): AsyncGenerator<T, void> {
  try {
    yield* all;
  } catch (error) {
    if (error instanceof CornerNetError) throw error;
    throw new CornerNetError('ERR_INPUT', `${what} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
}

/**
 * Ends the stream, however far it was read.
 * @throws {CornerNetError} `ERR_INPUT` when it is no list or can't be read.
 */
export async function* readPaths(stream: Readable, what: string): AsyncGenerator<Entry, void> {
  try {
    const { head, all } = await peek(readable(what, bytesOf(stream)));
    yield* split(head, all, what);
  } finally {
    stream.destroy();
  }
}

async function pictureOf(all: AsyncIterable<Buffer>): Promise<Entry> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of all) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > mostBytes) throw new CornerNetError('ERR_TOO_LARGE', `the picture on standard input has more than ${mostBytes} bytes`);
  }
  return { path: '-', bytes: Buffer.concat(chunks) };
}

/**
 * A picture's bytes, or a list of paths, whichever it begins as. Ends the stream, however far it was read.
 * @throws {CornerNetError} `ERR_INPUT` when it is neither, or a picture where only a list will do; `ERR_TOO_LARGE`.
 */
export async function* readStandardInput(stream: Readable, takePicture: boolean): AsyncGenerator<Entry, void> {
  const what = 'standard input';
  try {
    const { head, all } = await peek(readable(what, bytesOf(stream)));
    if (!isPicture(head)) return yield* split(head, all, what);
    if (!takePicture) throw new CornerNetError('ERR_INPUT', `${what} is a picture: only lists of paths are taken here`);
    yield await pictureOf(all);
  } finally {
    stream.destroy();
  }
}
