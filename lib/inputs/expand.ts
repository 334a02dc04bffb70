// From what a user names (files, folders, globs, lists, tar files) to pictures, one after the other.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import picomatch from 'picomatch';
import { extract, type Header } from 'tar-stream';

import { CornerNetError, sentenceOf } from '../errors.js';
import { isPictureName } from '../images/formats.js';
import { openRegular } from '../regular-file.js';
import type { Entry } from './entry.js';
import { onDisk } from './file-names.js';
import { readPaths, readStandardInput } from './paths.js';
import { walk } from './walk.js';

/** Text files of one path a line. */
const isList = (name: string): boolean => /\.(txt|lst|list)$/i.test(name);

const isTar = (name: string): boolean => /\.tar$/i.test(name);

async function* readTar(tar: string, passOver: (name: string) => void): AsyncGenerator<Entry, void> {
  const members = extract();
  let input: Readable | undefined;
  try {
    input = (await openRegular(tar)).file.createReadStream();
    input.on('error', (error) => members.destroy(error));
    for await (const member of input.pipe(members)) {
      // tar-stream counts it for every member and leaves it out of its types.
      const { name, type, size, byteOffset: offset } = member.header as Header & { byteOffset: number };
      if (type === 'file' && isPictureName(name)) yield { path: `${tar}/${name}`, member: { tar, offset, size } };
      else if (type === 'file') passOver(`${tar}/${name}`);
      member.resume();
    }
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${tar} can't be read as a tar file: ${sentenceOf(error)}`, { cause: error });
  } finally {
    input?.destroy();
  }
}

async function* readList(list: string): AsyncGenerator<Entry, void> {
  let stream: Readable;
  try {
    stream = (await openRegular(list)).file.createReadStream();
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${list} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
  yield* readPaths(stream, list);
}

async function* matchGlob(pattern: string): AsyncGenerator<Entry, void> {
  const { base: escaped, glob, prefix } = picomatch.scan(pattern);
  const base = escaped.replace(/\\(.)/g, '$1');
  const matches = picomatch(glob, { dot: false });
  const depth = glob.includes('**') ? Infinity : glob.split('/').length;
  const folder = base === '' ? '.' : base;
  if (!(await stat(onDisk(folder)).catch(() => undefined))?.isDirectory()) return;
  for await (const path of walk(folder, depth)) if (matches(path)) yield { path: base === '' ? `${prefix}${path}` : join(base, path) };
}

async function* walkPictures(folder: string, passOver: (path: string) => void): AsyncGenerator<Entry, void> {
  for await (const path of walk(folder)) {
    if (isPictureName(path)) yield { path: join(folder, path) };
    else passOver(join(folder, path));
  }
}

export interface ListOptions {
  readonly stdin?: Readable;
  /** Whether lists of paths (.txt, .lst, .list) and tar files, and globs that end so, are opened; else they are taken for pictures. Default true. */
  readonly openLists?: boolean;
  /** Whether standard input may be a picture instead of a list. Default false. */
  readonly takePicture?: boolean;
  /** Told of each file of a folder or tar file that is no picture. */
  readonly onPassedOver?: (path: string) => void;
}

async function* listOne(input: string, options: ListOptions): AsyncGenerator<Entry, void> {
  const { stdin = process.stdin, openLists = true, takePicture = false, onPassedOver = () => undefined } = options;
  if (input === '-') return yield* readStandardInput(stdin, takePicture);
  const found = await stat(onDisk(input)).catch(() => undefined);
  if (found?.isDirectory()) return yield* refuseNone(walkPictures(input, onPassedOver), `the folder ${input} holds no pictures`);
  const opens = openLists && (isList(input) || isTar(input));
  if (found && opens && isList(input)) return yield* refuseNone(readList(input), `the list ${input} is empty`);
  if (found && opens) return yield* refuseNone(readTar(input, onPassedOver), `the tar file ${input} holds no pictures`);
  // A file that isn't there fails by itself, the others go on.
  if (found || !picomatch.scan(input).isGlob) {
    yield { path: input };
    return;
  }
  for await (const match of refuseNone(matchGlob(input), `no file matches ${input}`)) {
    if (opens) yield* listOne(match.path, options);
    else yield match;
  }
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
 * @throws {CornerNetError} `ERR_INPUT` when a folder, glob, list or tar file has none or can't be read, or standard input is named twice.
 */
export async function* listInputs(inputs: readonly string[], options: ListOptions = {}): AsyncGenerator<Entry, void> {
  if (inputs.indexOf('-') !== inputs.lastIndexOf('-'))
    throw new CornerNetError('ERR_INPUT', 'standard input (-) is named twice, and can be read once only');
  const all = async function* (): AsyncGenerator<Entry, void> {
    for (const input of inputs) yield* listOne(input, options);
  };
  yield* refuseNone(all(), 'no pictures were named');
}

/** Counts what was passed over, and says it. */
export class PassedOver {
  #files = 0;
  readonly count = (): void => {
    this.#files++;
  };

  /** Empty when nothing was. */
  get sentence(): string {
    if (this.#files === 0) return '';
    return this.#files === 1 ? '1 file that is no picture was passed over' : `${this.#files} files that are no pictures were passed over`;
  }
}

/** {@link listInputs} in an array, for commands that take some pictures: lists and tar files are not opened. */
export async function expandEntries(inputs: readonly string[], options: Omit<ListOptions, 'openLists'> = {}): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of listInputs(inputs, { ...options, openLists: false })) entries.push(entry);
  return entries;
}

/** The paths of {@link expandEntries}. */
export async function expandInputs(inputs: readonly string[]): Promise<string[]> {
  return (await expandEntries(inputs)).map(({ path }) => path);
}
