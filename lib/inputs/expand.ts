// From what a user names (files, folders, globs, lists, tar files) to pictures, one after the other.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import picomatch from 'picomatch';
import { extract, type Header } from 'tar-stream';

import { CornerNetError, sentenceOf } from '../errors.js';
import type { Entry } from './entry.js';
import { walk } from './walk.js';

/** What folders and tar files are searched for: the formats that sharp reads. */
const isPicture = (name: string): boolean => /\.(jpe?g|png|webp|tiff?|gif|avif)$/i.test(name);

/** Text files of one path a line. */
const isList = (name: string): boolean => /\.(txt|lst|list)$/i.test(name);

const isTar = (name: string): boolean => /\.tar$/i.test(name);

async function* readList(stream: Readable): AsyncGenerator<Entry, void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) if (line.trim() !== '') yield { path: line.trim() };
}

async function* readTar(tar: string): AsyncGenerator<Entry, void> {
  const members = extract();
  const input = createReadStream(tar);
  input.on('error', (error) => members.destroy(error));
  try {
    for await (const member of input.pipe(members)) {
      // tar-stream counts it for every member and leaves it out of its types.
      const { name, type, size, byteOffset: offset } = member.header as Header & { byteOffset: number };
      if (type === 'file' && isPicture(name)) yield { path: `${tar}/${name}`, member: { tar, offset, size } };
      member.resume();
    }
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${tar} can't be read as a tar file: ${sentenceOf(error)}`, { cause: error });
  } finally {
    input.destroy();
  }
}

async function* matchGlob(pattern: string): AsyncGenerator<Entry, void> {
  const { base, glob, prefix } = picomatch.scan(pattern);
  const matches = picomatch(glob, { dot: false });
  const depth = glob.includes('**') ? Infinity : glob.split('/').length;
  const folder = base === '' ? '.' : base;
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return;
  for await (const path of walk(folder, depth)) if (matches(path)) yield { path: base === '' ? `${prefix}${path}` : join(base, path) };
}

async function* walkPictures(folder: string): AsyncGenerator<Entry, void> {
  for await (const path of walk(folder)) if (isPicture(path)) yield { path: join(folder, path) };
}

export interface ListOptions {
  readonly stdin?: Readable;
  /** Whether lists of paths (.txt, .lst, .list) and tar files are opened; else they are taken for pictures. Default true. */
  readonly openLists?: boolean;
}

async function* listOne(input: string, { stdin = process.stdin, openLists = true }: ListOptions): AsyncGenerator<Entry, void> {
  if (input === '-') return yield* readList(stdin);
  const found = await stat(input).catch(() => undefined);
  if (found?.isDirectory()) return yield* refuseNone(walkPictures(input), `the folder ${input} holds no pictures`);
  if (found && openLists && isList(input)) return yield* refuseNone(readList(createReadStream(input)), `the list ${input} is empty`);
  if (found && openLists && isTar(input)) return yield* refuseNone(readTar(input), `the tar file ${input} holds no pictures`);
  // A file that isn't there fails by itself, the others go on.
  if (found || !picomatch.scan(input).isGlob) yield { path: input };
  else yield* refuseNone(matchGlob(input), `no file matches ${input}`);
}

async function* refuseNone<T>(all: AsyncIterable<T>, sentence: string): AsyncGenerator<T, void> {
  let some = false;
  for await (const one of all) {
    some = true;
    yield one;
  }
  if (!some) throw new CornerNetError('ERR_INPUT', sentence);
}

/**
 * Pictures in the order of the inputs, those of a folder or glob in natural order; not held in memory.
 * @throws {CornerNetError} `ERR_INPUT` when a folder, glob, list or tar file has none or can't be read.
 */
export async function* listInputs(inputs: readonly string[], options: ListOptions = {}): AsyncGenerator<Entry, void> {
  const all = async function* (): AsyncGenerator<Entry, void> {
    for (const input of inputs) yield* listOne(input, options);
  };
  yield* refuseNone(all(), 'no pictures were named');
}

/** The paths of {@link listInputs} in an array, for commands that take some pictures. */
export async function expandInputs(inputs: readonly string[], stdin: Readable = process.stdin): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of listInputs(inputs, { stdin, openLists: false })) paths.push(path);
  return paths;
}
