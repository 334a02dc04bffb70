// Paths in the queue are relative to a folder that each machine names for itself; nothing outside it is sent or read.
import { realpathSync } from 'node:fs';
import { basename, isAbsolute, join, relative, resolve, sep } from 'node:path';

import { CornerNetError, sentenceOf } from '../../errors.js';
import { within } from '../../images/deadline.js';
import { mapPaths, type Entry } from '../../inputs/entry.js';
import { isBelow, realPath } from '../../inputs/file-names.js';
import { defaultTimeout } from '../../options/values.js';

export class QueueRoot {
  /** Behind all links. */
  readonly folder: string;
  readonly #given: string;

  /**
   * @param seconds that a look at a path may take: a mount may hang.
   * @throws {CornerNetError} `ERR_INPUT` when there is no such folder.
   */
  constructor(
    folder = '.',
    private readonly seconds: number = defaultTimeout,
  ) {
    this.#given = resolve(folder);
    try {
      this.folder = realpathSync(folder);
    } catch (error) {
      throw new CornerNetError('ERR_INPUT', `the root ${folder} can't be read: ${sentenceOf(error)}`, { cause: error });
    }
  }

  /** @throws {CornerNetError} `ERR_INPUT` for a path outside. */
  relativeEntry(entry: Entry): Entry {
    return mapPaths(entry, (path) => {
      const below = this.#relative(path);
      if (below !== undefined) return below;
      throw new CornerNetError('ERR_INPUT', `${path} is outside the queue's root ${this.folder}: name one that holds all pictures`);
    });
  }

  /** A file's path below the root, or its bare name when it lies elsewhere: workers then know it by an option of their own. */
  relativeFile(path: string): string {
    return this.#relative(path) ?? basename(path);
  }

  #relative(path: string): string | undefined {
    const absolute = resolve(path);
    const root = [this.#given, this.folder].find((folder) => isBelow(folder, absolute));
    return root === undefined ? undefined : relative(root, absolute);
  }

  /** The entry on this machine; links are followed, and must not lead out. */
  async localEntry(entry: Entry): Promise<Entry> {
    await this.check(entry.member?.tar ?? entry.path);
    return mapPaths(entry, (path) => join(this.folder, path));
  }

  /** A sentence as it may leave this machine: it names nothing but what was sent. */
  outward(sentence: string): string {
    if (this.folder === sep) return sentence;
    const below = sentence.replaceAll(this.folder + sep, '').replaceAll(this.folder, 'the root');
    return below.replace(/(?<![^\s'"`(=:,])\/[^\s'"`):,;]+/g, '(a path)');
  }

  /** @throws {CornerNetError} `ERR_INPUT` when a relative path, or what it links to, is outside, or can't be looked at in time. */
  async check(path: string): Promise<string> {
    const absolute = resolve(this.folder, path);
    if (isAbsolute(path) || !isBelow(this.folder, absolute)) throw this.#outside(path);
    // What isn't there fails where it is read.
    const real = await within(this.seconds, path, () => realPath(absolute).catch(() => absolute));
    if (!isBelow(this.folder, real)) throw this.#outside(path);
    return absolute;
  }

  #outside(path: string): CornerNetError {
    return new CornerNetError('ERR_INPUT', `${path} is outside this worker's root`);
  }
}
