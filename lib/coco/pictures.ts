// Where the pictures of an annotation file are: below one folder, whatever the file says.
import { isAbsolute, join } from 'node:path';

import { CornerNetError } from '../errors.js';
import { isBelow, realPath } from '../inputs/file-names.js';
import type { CocoAnnotations, CocoImage } from './dataset.js';

/** What the folder really is. Where it is missing, so is every picture. */
const rootOf = (folder: string): Promise<string> => realPath(folder).catch(() => folder);

/**
 * The path of an annotated picture, a whole one or one from the folder. Links are followed, and must not lead out either: who made the annotations may
 * have made them as well.
 * @param root what the folder really is, where that is known.
 * @returns undefined when it isn't there.
 * @throws {CornerNetError} `ERR_INPUT` when it has no name or is outside the folder.
 */
export async function pictureBelow(
  folder: string,
  { id, file_name }: Pick<CocoImage, 'id' | 'file_name'>,
  root?: string,
): Promise<string | undefined> {
  if (file_name === '') throw new CornerNetError('ERR_INPUT', `the annotations have an empty file_name for the picture ${id}`);
  const outside = (how: string): CornerNetError =>
    new CornerNetError('ERR_INPUT', `the annotations name ${file_name}, which is outside ${folder}${how}`);
  const path = isAbsolute(file_name) ? file_name : join(folder, file_name);
  const realRoot = root ?? (await rootOf(folder));
  if (!isBelow(folder, path) && !isBelow(realRoot, path)) throw outside('');
  const real = await realPath(path).catch(() => undefined);
  if (real !== undefined && !isBelow(realRoot, real)) throw outside(', where a link leads');
  return real === undefined ? undefined : path;
}

/**
 * The paths of all annotated pictures, in their order.
 * @throws {CornerNetError} `ERR_INPUT` when one has no name or is outside the folder, or some are missing.
 */
export async function picturesBelow(folder: string, { images }: Pick<CocoAnnotations, 'images'>): Promise<string[]> {
  const paths: string[] = [];
  const missing: string[] = [];
  const root = await rootOf(folder);
  for (const image of images) {
    const path = await pictureBelow(folder, image, root);
    if (path === undefined) missing.push(image.file_name);
    else paths.push(path);
  }
  if (missing.length === 0) return paths;
  const sentence = `${missing.length} of ${images.length} annotated pictures are not in ${folder}, the first: ${missing[0] ?? ''}`;
  throw new CornerNetError('ERR_INPUT', sentence);
}
