// The list of a job's pictures, frozen at its first start: chunks of as many pictures, a file each.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CornerNetError, sentenceOf } from '../errors.js';
import { entrySchema, type Entry } from '../inputs/entry.js';
import type { Shard } from './types.js';

/** Pictures of a chunk: few enough to hold in memory, enough that ten million make a thousand files. */
export const chunkLength = 10_000;

function chunkName(chunk: number): string {
  return `${String(chunk).padStart(6, '0')}.jsonl`;
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
 */
export async function freezeList(
  folder: string,
  entries: AsyncIterable<Entry>,
  { limit = Infinity, shard }: { limit?: number | undefined; shard?: Shard | undefined },
): Promise<number> {
  const aside = join(folder, 'list.part');
  const final = join(folder, 'list');
  await rm(aside, { recursive: true, force: true });
  await rm(final, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  let lines: string[] = [];
  let chunk = 0;
  const write = async (): Promise<void> => {
    await writeFile(join(aside, chunkName(chunk++)), lines.join(''));
    lines = [];
  };
  let listed = 0;
  let taken = 0;
  for await (const entry of entries) {
    if (taken >= limit) break;
    if (shard && listed++ % shard.count !== shard.index - 1) continue;
    lines.push(`${JSON.stringify(entry)}\n`);
    taken++;
    if (lines.length === chunkLength) await write();
  }
  if (lines.length > 0) await write();
  await rename(aside, final);
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

  get chunks(): number {
    return Math.ceil(this.length / chunkLength);
  }

  /** Pictures of a chunk. */
  lengthOf(chunk: number): number {
    return Math.min(chunkLength, this.length - chunk * chunkLength);
  }

  /** @throws {CornerNetError} `ERR_INPUT` when the file isn't what was written. */
  async read(chunk: number): Promise<Position[]> {
    const file = join(this.#folder, chunkName(chunk));
    try {
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      if (lines.length !== this.lengthOf(chunk)) throw new Error(`it has ${lines.length} lines, not ${this.lengthOf(chunk)}`);
      return lines.map((line, i) => ({ position: chunk * chunkLength + i, entry: entrySchema.parse(JSON.parse(line)) }));
    } catch (error) {
      throw new CornerNetError('ERR_INPUT', `the job's list ${file} is damaged: ${sentenceOf(error)}`, { cause: error });
    }
  }
}
