// Paths in the queue are relative to a folder that each machine names for itself; nothing outside it is sent or read.
import { realpathSync } from 'node:fs';
import { basename, isAbsolute, join, relative, resolve } from 'node:path';

import { CornerNetError, sentenceOf } from '../../errors.js';
import type { Entry } from '../../inputs/entry.js';
import { isBelow, realPath } from '../../inputs/file-names.js';

function mapPaths({ path, member }: Entry, map: (path: string) => string): Entry {
  if (!member) return { path: map(path) };
  // A member is named by its tar file's path and its own.
  return { path: map(path), member: { ...member, tar: map(member.tar) } };
}

export class QueueRoot {
  readonly folder: string;

  /** @throws {CornerNetError} `ERR_INPUT` when there is no such folder. */
  constructor(folder = '.') {
    try {
      this.folder = realpathSync(folder);
    } catch (error) {
      throw new CornerNetError('ERR_INPUT', `the root ${folder} can't be read: ${sentenceOf(error)}`, { cause: error });
    }
  }

  /** @throws {CornerNetError} `ERR_INPUT` for a path outside. */
  relativeEntry(entry: Entry): Entry {
    return mapPaths(entry, (path) => {
      const absolute = resolve(path);
      if (isBelow(this.folder, absolute)) return relative(this.folder, absolute);
      throw new CornerNetError('ERR_INPUT', `${path} is outside the queue's root ${this.folder}: name one that holds all pictures`);
    });
  }

  /** A file's path below the root, or its bare name when it lies elsewhere: workers then know it by an option of their own. */
  relativeFile(path: string): string {
    const absolute = resolve(path);
    return isBelow(this.folder, absolute) ? relative(this.folder, absolute) : basename(path);
  }

  /** The entry on this machine; links are followed, and must not lead out. */
  async localEntry(entry: Entry): Promise<Entry> {
    const local = mapPaths(entry, (path) => join(this.folder, path));
    await this.check(entry.member?.tar ?? entry.path);
    return local;
  }

  /** @throws {CornerNetError} `ERR_INPUT` when a relative path, or what it links to, is outside. */
  async check(path: string): Promise<string> {
    const absolute = resolve(this.folder, path);
    if (isAbsolute(path) || !isBelow(this.folder, absolute)) throw this.#outside(path);
    const real = await realPath(absolute).catch(() => absolute); // what isn't there fails where it is read
    if (!isBelow(this.folder, real)) throw this.#outside(path);
    return absolute;
  }

  #outside(path: string): CornerNetError {
    return new CornerNetError('ERR_INPUT', `${path} is outside this worker's root`);
  }
}
