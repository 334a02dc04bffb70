// The files that come with this package, and its version.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { CornerNetError, sentenceOf } from './errors.js';

let own: { readonly folder: string; readonly version: string } | undefined;

/** @throws {CornerNetError} `ERR_NOT_BUILT` where a bundler has taken this file out of its package. */
function ownPackage(): NonNullable<typeof own> {
  if (own) return own;
  const folder = dirname(__dirname); // of lib and of dist alike
  const file = join(folder, 'package.json');
  const manifest = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { name: string; version: string }) : undefined;
  if (manifest?.name === 'cornernet') return (own = { folder, version: manifest.version });
  const ways = 'esbuild --external:cornernet, externals of webpack, serverExternalPackages of Next.js';
  throw new CornerNetError('ERR_NOT_BUILT', `cornernet's own files are not in ${folder}: keep the package out of the bundle (${ways})`);
}

/** A file or folder of this package. @throws {CornerNetError} `ERR_NOT_BUILT` in a bundle. */
export function packagePath(...names: string[]): string {
  return join(ownPackage().folder, ...names);
}

/** A text file of this package. @throws {CornerNetError} `ERR_NOT_BUILT` in a bundle, and where only a part of the package is. */
export function packageText(...names: string[]): string {
  try {
    return readFileSync(packagePath(...names), 'utf8');
  } catch (error) {
    if (error instanceof CornerNetError) throw error;
    const remedy = 'was the package copied in part? A build that traces files needs all of it (docs/deploying.md)';
    throw new CornerNetError('ERR_NOT_BUILT', `a file of cornernet's own can't be read: ${sentenceOf(error)}; ${remedy}`, { cause: error });
  }
}

/** This package's version. */
export function packageVersion(): string {
  return ownPackage().version;
}
