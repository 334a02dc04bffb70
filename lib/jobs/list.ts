// The list of a job's pictures, frozen at its first start: parts of as many pictures, a file each.
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { entrySchema, mapPaths, type Entry } from '../inputs/entry.js';
import { look, looksAtOnce, seenSchema, type Seen } from '../inputs/seen.js';
import { orUnwritable, syncFolder } from '../output-file.js';
import { lineOf, readValues } from './lines.js';
import type { Shard } from './types.js';

/** Pictures of a part: few enough to hold in memory, enough that ten million make a thousand files. */
export const partLength = 10_000;

function partName(part: number): string {
  return `${String(part).padStart(6, '0')}.jsonl`;
}

const listedSchema = z.object({ entry: entrySchema, seen: seenSchema.optional() });

/** A picture and its position in the list. */
export interface Position {
  readonly position: number;
  /** As it was listed, which names it in its record. */
  readonly image: string;
  /** Where it is from here. */
  readonly entry: Entry;
  /** What its file was like when the list was frozen; undefined where there was none. */
  readonly seen?: Seen | undefined;
}

interface FreezeOptions {
  /** At most so many pictures, of this shard. */
  readonly limit?: number | undefined;
  readonly shard?: Shard | undefined;
  /** Takes each picture's sha256, too. */
  readonly hash?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

async function* choose(entries: AsyncIterable<Entry>, { limit = Infinity, shard }: FreezeOptions): AsyncGenerator<Entry, void> {
  let [listed, taken] = [0, 0];
  for await (const entry of entries) {
    if (taken >= limit) return;
    if (shard && listed++ % shard.count !== shard.index - 1) continue;
    taken++;
    yield entry;
  }
}

/** Some at a time, the last fewer. */
async function* grouped<T>(all: AsyncIterable<T>, length: number): AsyncGenerator<T[], void> {
  let group: T[] = [];
  for await (const one of all) {
    group.push(one);
    if (group.length < length) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

async function linesOf(entries: readonly Entry[], { hash = false, signal }: FreezeOptions): Promise<string> {
  const lines: string[] = [];
  for (let at = 0; at < entries.length; at += looksAtOnce) {
    signal?.throwIfAborted();
    const some = entries.slice(at, at + looksAtOnce).map(async (entry) => lineOf({ entry, seen: await look(entry, hash) }));
    lines.push(...(await Promise.all(some)));
  }
  return lines.join('');
}

/**
 * Writes the list aside and gives it its name when it is complete and on the disk.
 * @returns how many pictures it has.
 * @throws {CornerNetError} `ERR_WRITE`, and what the entries throw; an abort rejects with the signal's reason.
 */
export async function freezeList(folder: string, entries: AsyncIterable<Entry>, options: FreezeOptions = {}): Promise<number> {
  const aside = join(folder, 'list.part');
  const final = join(folder, 'list');
  const disk = <T>(work: Promise<T>): Promise<T> => orUnwritable(final, work);
  for (const former of [aside, final]) await disk(rm(former, { recursive: true, force: true }));
  await disk(mkdir(aside));
  let [part, taken] = [0, 0];
  for await (const some of grouped(choose(entries, options), partLength)) {
    taken += some.length;
    const lines = await linesOf(some, options);
    await disk(writeFile(join(aside, partName(part++)), lines, { flag: 'wx', flush: true }));
  }
  await disk(syncFolder(aside));
  await disk(rename(aside, final));
  await disk(syncFolder(folder));
  return taken;
}

export class FrozenList {
  readonly #folder: string;
  /** Pictures. */
  readonly length: number;
  readonly #paths: (entry: Entry) => Entry;

  /** @param base what its relative paths are relative to. Default: the current folder. */
  constructor(folder: string, length: number, base = process.cwd()) {
    this.#folder = join(folder, 'list');
    this.length = length;
    this.#paths = base === process.cwd() ? (entry) => entry : (entry) => mapPaths(entry, (path) => resolve(base, path));
  }

  get parts(): number {
    return Math.ceil(this.length / partLength);
  }

  /** Pictures of a part. */
  lengthOf(part: number): number {
    return Math.min(partLength, this.length - part * partLength);
  }

  /** As its pictures were listed. */
  async *images(): AsyncGenerator<string, void> {
    for (let part = 0; part < this.parts; part++) for (const { image } of await this.read(part)) yield image;
  }

  /** @throws {CornerNetError} `ERR_JOB` when the file isn't what was written; `ERR_INPUT` when it can't be read. */
  async read(part: number): Promise<Position[]> {
    const file = join(this.#folder, partName(part));
    const damaged = (how: string): CornerNetError =>
      new CornerNetError('ERR_JOB', `the job's list ${file} is damaged: ${how}; begin another folder`);
    const positions: Position[] = [];
    for await (const { value } of readValues(file, listedSchema)) {
      if (!value) throw damaged(`line ${positions.length + 1} isn't what was written`);
      const { entry, seen } = value;
      positions.push({ position: part * partLength + positions.length, image: entry.path, entry: this.#paths(entry), seen });
    }
    if (positions.length === this.lengthOf(part)) return positions;
    throw damaged(`it has ${positions.length} lines, not ${this.lengthOf(part)}`);
  }
}
