// The list of a job's pictures, frozen at its first start: parts of as many pictures, a file each.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CornerNetError, sentenceOf } from '../errors.js';
import { entrySchema, type Entry } from '../inputs/entry.js';
import { unwritable } from '../output-file.js';
import { validated } from '../validation.js';
import type { Shard } from './types.js';

/** Pictures of a part: few enough to hold in memory, enough that ten million make a thousand files. */
export const partLength = 10_000;

function partName(part: number): string {
  return `${String(part).padStart(6, '0')}.jsonl`;
}

/** A picture and its position in the list. */
export interface Position {
  readonly position: number;
  readonly entry: Entry;
}

/**
 * Writes the list aside and gives it its name when it is complete.
 * @param limit at most so many pictures, of this shard.
 * @returns how many pictures it has.
 * @throws {CornerNetError} `ERR_WRITE`, and what the entries throw.
 */
export async function freezeList(
  folder: string,
  entries: AsyncIterable<Entry>,
  { limit = Infinity, shard }: { limit?: number | undefined; shard?: Shard | undefined },
): Promise<number> {
  const aside = join(folder, 'list.part');
  const final = join(folder, 'list');
  const disk = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw unwritable(final, error);
    });
  for (const former of [aside, final]) await disk(rm(former, { recursive: true, force: true }));
  await disk(mkdir(aside));
  let lines: string[] = [];
  let part = 0;
  const write = async (): Promise<void> => {
    await disk(writeFile(join(aside, partName(part++)), lines.join('')));
    lines = [];
  };
  let listed = 0;
  let taken = 0;
  for await (const entry of entries) {
    if (taken >= limit) break;
    if (shard && listed++ % shard.count !== shard.index - 1) continue;
    lines.push(`${JSON.stringify(entry)}\n`);
    taken++;
    if (lines.length === partLength) await write();
  }
  if (lines.length > 0) await write();
  await disk(rename(aside, final));
  return taken;
}

export class FrozenList {
  readonly #folder: string;
  /** Pictures. */
  readonly length: number;

  constructor(folder: string, length: number) {
    this.#folder = join(folder, 'list');
    this.length = length;
  }

  get parts(): number {
    return Math.ceil(this.length / partLength);
  }

  /** Pictures of a part. */
  lengthOf(part: number): number {
    return Math.min(partLength, this.length - part * partLength);
  }

  /** @throws {CornerNetError} `ERR_JOB` when the file isn't what was written. */
  async read(part: number): Promise<Position[]> {
    const file = join(this.#folder, partName(part));
    try {
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      if (lines.length !== this.lengthOf(part)) throw new Error(`it has ${lines.length} lines, not ${this.lengthOf(part)}`);
      return lines.map((line, i) => ({
        position: part * partLength + i,
        entry: validated(entrySchema, JSON.parse(line), { code: 'ERR_JOB', what: 'entry' }),
      }));
    } catch (error) {
      throw new CornerNetError('ERR_JOB', `the job's list ${file} is damaged: ${sentenceOf(error)}`, { cause: error });
    }
  }
}
