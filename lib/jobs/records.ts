// The records of a job: a success stands in its chunk's results-*.jsonl, a failure in errors.jsonl, and nothing else says what is done.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { writeText } from '../output-file.js';
import { GrowingFile, parseLine, readLines } from './lines.js';
import { chunkLength, type FrozenList, type Position } from './list.js';
import { errorSchema, resultSchema, type ErrorRecord, type Outcome, type ResultRecord } from './outcome.js';

export const errorsFile = 'errors.jsonl';

export function resultsFile(chunk: number): string {
  return `results-${String(chunk).padStart(6, '0')}.jsonl`;
}

/** A chunk that was complete: while its file has as many bytes it need not be read again. */
const sealSchema = z.object({ chunk: z.int().min(0), bytes: z.int().min(0), results: z.int().min(0) });
const sealsFile = 'complete.jsonl';

type Seal = z.infer<typeof sealSchema>;

/** One bit a picture. */
class Marks {
  readonly #bits: Uint8Array;
  count = 0;

  constructor(length: number) {
    this.#bits = new Uint8Array(Math.ceil(length / 8));
  }

  has(position: number): boolean {
    return ((this.#bits[position >> 3] ?? 0) & (1 << (position & 7))) !== 0;
  }

  add(position: number): void {
    if (this.has(position)) return;
    this.#bits[position >> 3] = (this.#bits[position >> 3] ?? 0) | (1 << (position & 7));
    this.count++;
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

interface OpenPart {
  readonly file: GrowingFile;
  results: number;
}

/** Matches a chunk's result lines with its pictures. Pictures of one path are interchangeable: equal inputs, equal results. */
export class ChunkMatcher {
  readonly #positions = new Map<string, number[]>();

  constructor(entries: readonly Position[]) {
    for (const { position, entry } of entries) {
      const same = this.#positions.get(entry.path);
      if (same) same.push(position);
      else this.#positions.set(entry.path, [position]);
    }
    for (const positions of this.#positions.values()) positions.reverse();
  }

  /** The picture of this record, which no later record gets. */
  take(image: string): number | undefined {
    return this.#positions.get(image)?.pop();
  }
}

export class JobRecords {
  readonly #folder: string;
  readonly #list: FrozenList;
  readonly #done: Marks;
  readonly #failed: Marks;
  /** Bytes of each chunk's file that hold records, and how many. */
  readonly #kept = new Map<number, { bytes: number; results: number }>();
  readonly #parts = new Map<number, Promise<OpenPart>>();
  /** Pictures of each chunk without a record. */
  readonly #missing: Uint32Array;
  #errors!: GrowingFile;
  #seals!: GrowingFile;

  private constructor(folder: string, list: FrozenList) {
    this.#folder = folder;
    this.#list = list;
    this.#done = new Marks(list.length);
    this.#failed = new Marks(list.length);
    this.#missing = Uint32Array.from({ length: list.chunks }, (_, chunk) => list.lengthOf(chunk));
  }

  /**
   * Reads what is there; cuts off what was never completed.
   * @param retryErrors forgets the failures, so that their pictures are pending again.
   */
  static async open(folder: string, list: FrozenList, retryErrors: boolean): Promise<JobRecords> {
    const records = new JobRecords(folder, list);
    if (retryErrors) await records.#forgetErrors();
    await records.#readErrors();
    await records.#readParts(await records.#readSeals());
    return records;
  }

  /** Pictures with a result. */
  get done(): number {
    return this.#done.count;
  }

  /** Pictures with an error. */
  get failed(): number {
    return this.#failed.count;
  }

  /** Pictures without a record, in the list's order. */
  async *pending(): AsyncGenerator<Position, void> {
    for (let chunk = 0; chunk < this.#list.chunks; chunk++) {
      if (this.#missing[chunk] === 0) continue;
      for (const one of await this.#list.read(chunk)) if (!this.#has(one.position)) yield one;
    }
  }

  /** Keeps what came of a picture; a second outcome of one picture is dropped. */
  async write(position: number, outcome: Outcome): Promise<void> {
    if (this.#has(position)) return;
    const chunk = Math.floor(position / chunkLength);
    if ('error' in outcome) {
      this.#failed.add(position);
      await this.#errors.append({ position, ...outcome } satisfies ErrorRecord);
    } else {
      this.#done.add(position);
      const part = await this.#part(chunk);
      part.results++;
      await part.file.append(outcome);
    }
    const missing = (this.#missing[chunk] ?? 0) - 1;
    this.#missing[chunk] = missing;
    if (missing === 0) await this.#seal(chunk);
  }

  /** Has everything on the disk and lets go of the files. */
  async close(): Promise<void> {
    const parts = await Promise.all(this.#parts.values());
    for (const file of [...parts.map((part) => part.file), this.#errors, this.#seals]) {
      await file.sync();
      await file.close();
    }
  }

  /** Every outcome in the list's order; holds a chunk at a time, and of the failures those that were recorded out of order. */
  async *outcomes(): AsyncGenerator<Position & { readonly outcome: Outcome }, void> {
    const errors = this.#errorsInOrder();
    try {
      for (let chunk = 0; chunk < this.#list.chunks; chunk++) {
        const entries = await this.#list.read(chunk);
        const results = await this.#resultsOf(chunk, entries);
        for (const one of entries) {
          const outcome = results.get(one.position) ?? (this.#failed.has(one.position) ? await errors.take(one.position) : undefined);
          if (outcome) yield { ...one, outcome };
        }
      }
    } finally {
      await errors.end();
    }
  }

  async #resultsOf(chunk: number, entries: readonly Position[]): Promise<Map<number, ResultRecord>> {
    const matcher = this.#matcher(entries);
    const results = new Map<number, ResultRecord>();
    for await (const { text } of readLines(join(this.#folder, resultsFile(chunk)))) {
      const record = JSON.parse(text) as ResultRecord;
      const position = matcher.take(record.image);
      if (position !== undefined) results.set(position, record);
    }
    return results;
  }

  #errorsInOrder(): { take(position: number): Promise<Outcome | undefined>; end(): Promise<void> } {
    const lines = readLines(join(this.#folder, errorsFile));
    const ahead = new Map<number, Outcome>();
    return {
      take: async (position) => {
        for (let found = ahead.get(position); ; found = ahead.get(position)) {
          ahead.delete(position);
          if (found) return found;
          const next = await lines.next();
          if (next.done === true) return undefined;
          const { position: of, ...outcome } = JSON.parse(next.value.text) as ErrorRecord;
          ahead.set(of, outcome);
        }
      },
      end: async () => {
        await lines.return();
      },
    };
  }

  #has(position: number): boolean {
    return this.#done.has(position) || this.#failed.has(position);
  }

  #matcher(entries: readonly Position[]): ChunkMatcher {
    return new ChunkMatcher(entries.filter(({ position }) => !this.#failed.has(position)));
  }

  async #forgetErrors(): Promise<void> {
    await writeText(join(this.#folder, errorsFile), '');
  }

  async #readErrors(): Promise<void> {
    const path = join(this.#folder, errorsFile);
    let end = 0;
    for await (const line of readLines(path)) {
      const record = errorSchema.safeParse(parseLine(line.text));
      if (!record.success || record.data.position >= this.#list.length || this.#failed.has(record.data.position)) break;
      this.#failed.add(record.data.position);
      const chunk = Math.floor(record.data.position / chunkLength);
      this.#missing[chunk] = (this.#missing[chunk] ?? 0) - 1;
      end = line.end;
    }
    this.#errors = await GrowingFile.open(path, end);
  }

  async #readSeals(): Promise<Map<number, Seal>> {
    const path = join(this.#folder, sealsFile);
    const seals = new Map<number, Seal>();
    let end = 0;
    for await (const line of readLines(path)) {
      const seal = sealSchema.safeParse(parseLine(line.text));
      if (!seal.success) break;
      seals.set(seal.data.chunk, seal.data);
      end = line.end;
    }
    this.#seals = await GrowingFile.open(path, end);
    return seals;
  }

  async #readParts(seals: Map<number, Seal>): Promise<void> {
    for (let chunk = 0; chunk < this.#list.chunks; chunk++) {
      const bytes = await sizeOf(join(this.#folder, resultsFile(chunk)));
      if (bytes === 0) continue;
      const seal = seals.get(chunk);
      if (seal?.bytes === bytes && seal.results === this.#missing[chunk]) this.#trust(chunk, seal);
      else await this.#scan(chunk);
    }
  }

  #trust(chunk: number, { bytes, results }: Seal): void {
    const first = chunk * chunkLength;
    for (let position = first; position < first + this.#list.lengthOf(chunk); position++) {
      if (!this.#failed.has(position)) this.#done.add(position);
    }
    this.#missing[chunk] = 0;
    this.#kept.set(chunk, { bytes, results });
  }

  async #scan(chunk: number): Promise<void> {
    const matcher = this.#matcher(await this.#list.read(chunk));
    const kept = { bytes: 0, results: 0 };
    for await (const line of readLines(join(this.#folder, resultsFile(chunk)))) {
      const record = resultSchema.safeParse(parseLine(line.text));
      const position = record.success ? matcher.take(record.data.image) : undefined;
      if (position === undefined) break; // damaged: what is behind it is computed again
      this.#done.add(position);
      kept.bytes = line.end;
      kept.results++;
    }
    this.#missing[chunk] = (this.#missing[chunk] ?? 0) - kept.results;
    this.#kept.set(chunk, kept);
    if (this.#missing[chunk] === 0) await this.#seal(chunk);
  }

  #part(chunk: number): Promise<OpenPart> {
    let part = this.#parts.get(chunk);
    if (!part) {
      const { bytes, results } = this.#kept.get(chunk) ?? { bytes: 0, results: 0 };
      part = GrowingFile.open(join(this.#folder, resultsFile(chunk)), bytes).then((file) => ({ file, results }));
      this.#parts.set(chunk, part);
    }
    return part;
  }

  async #seal(chunk: number): Promise<void> {
    const { file, results } = await this.#part(chunk);
    await file.sync();
    await this.#errors.sync();
    await this.#seals.append({ chunk, bytes: file.bytes, results } satisfies Seal);
    this.#kept.set(chunk, { bytes: file.bytes, results });
    this.#parts.delete(chunk);
    await file.close();
  }
}
