// File handles with all that Node's have, also where Yarn's Plug'n'Play, its default, puts others in their place.
import { fdatasync, fsync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { promisify } from 'node:util';

import './dispose.js';

/** As Node's. Yarn's handles, and Node's own in a context without `Symbol.asyncDispose`, can neither be disposed of nor synced, and their streams close the file beside them: use `autoClose: false`. */
export async function openFile(...of: Parameters<typeof fs.open>): Promise<fs.FileHandle> {
  const file = await fs.open(...of);
  if ((file as Partial<AsyncDisposable>)[Symbol.asyncDispose]) return file;
  return Object.assign(file, {
    sync: () => promisify(fsync)(file.fd),
    datasync: () => promisify(fdatasync)(file.fd),
    [Symbol.asyncDispose]: () => file.close(),
  });
}
