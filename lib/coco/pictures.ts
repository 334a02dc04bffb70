// Where the pictures of an annotation file are: below one folder, whatever the file says.
import { isAbsolute, join } from 'node:path';

import { CornerNetError } from '../errors.js';
import { isBelow, realPath } from '../inputs/file-names.js';
import type { CocoAnnotations, CocoImage } from './dataset.js';

/**
 * The path of an annotated picture. Links are followed, and must not lead out either: who made the annotations may have made them as well.
 * @param realRoot what the folder really is, where that is known.
 * @returns undefined when it isn't there.
 * @throws {CornerNetError} `ERR_INPUT` when it is outside the folder.
 */
export async function pictureBelow(
  folder: string,
  { file_name }: Pick<CocoImage, 'file_name'>,
  realRoot?: string,
): Promise<string | undefined> {
  const path = join(folder, file_name);
  const outside = (): CornerNetError => new CornerNetError('ERR_INPUT', `the annotations name ${file_name}, which is outside ${folder}`);
  if (isAbsolute(file_name) || file_name.includes('\0') || !isBelow(folder, path)) throw outside();
  const real = await realPath(path).catch(() => undefined);
  if (real === undefined) return undefined;
  if (!isBelow(realRoot ?? (await realPath(folder)), real)) throw outside();
  return path;
}

/**
 * The paths of all annotated pictures, in their order.
 * @throws {CornerNetError} `ERR_INPUT` when one is outside the folder, or some are missing.
 */
export async function picturesBelow(folder: string, { images }: Pick<CocoAnnotations, 'images'>): Promise<string[]> {
  const paths: string[] = [];
  const missing: string[] = [];
  const realRoot = await realPath(folder).catch(() => undefined); // without it no picture is there
  for (const image of images) {
    const path = await pictureBelow(folder, image, realRoot);
    if (path === undefined) missing.push(image.file_name);
    else paths.push(path);
  }
  if (missing.length === 0) return paths;
  const sentence = `${missing.length} of ${images.length} annotated pictures are not in ${folder}, the first: ${missing[0] ?? ''}`;
  throw new CornerNetError('ERR_INPUT', sentence);
}
