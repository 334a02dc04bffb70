// The files that come with this package, and its version.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { CornerNetError } from './errors.js';

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

/** This package's version. */
export function packageVersion(): string {
  return ownPackage().version;
}
