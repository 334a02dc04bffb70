// From what a user names (files, folders, globs, a list on standard input) to paths of pictures.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { glob, isDynamicPattern } from 'tinyglobby';

import { CornerNetError } from './errors.js';

/** What a folder is searched for: the formats that sharp reads. */
const pictureFiles = '**/*.{jpg,jpeg,png,webp,tif,tiff,gif,avif,JPG,JPEG,PNG,WEBP,TIF,TIFF,GIF,AVIF}';

/** scene2 before scene10, the same on every machine. */
const natural = new Intl.Collator('en', { numeric: true });

async function readList(stream: Readable): Promise<string[]> {
  const paths: string[] = [];
  for await (const line of createInterface({ input: stream })) if (line.trim() !== '') paths.push(line.trim());
  return paths;
}

async function expandOne(input: string, stdin: Readable): Promise<string[]> {
  if (input === '-') return readList(stdin);
  const found = await stat(input).catch(() => undefined);
  if (found?.isDirectory()) {
    const names = await glob(pictureFiles, { cwd: input, dot: false });
    if (names.length === 0) throw new CornerNetError('ERR_INPUT', `the folder ${input} holds no pictures`);
    return names.sort(natural.compare).map((name) => join(input, name));
  }
  if (found || !isDynamicPattern(input)) return [input]; // a file that isn't there fails by itself, the others go on
  const paths = await glob(input, { dot: false, absolute: false });
  if (paths.length === 0) throw new CornerNetError('ERR_INPUT', `no file matches ${input}`);
  return paths.sort(natural.compare);
}

/**
 * Paths in the order of the inputs; those of a folder or glob in natural order.
 * @throws {CornerNetError} `ERR_INPUT` when a folder, a glob or the list is empty.
 */
export async function expandInputs(inputs: readonly string[], stdin: Readable = process.stdin): Promise<string[]> {
  const paths: string[] = [];
  for (const input of inputs) paths.push(...(await expandOne(input, stdin)));
  if (paths.length === 0) throw new CornerNetError('ERR_INPUT', 'no pictures were named');
  return paths;
}
