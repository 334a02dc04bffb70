// The records of a job: a success stands in its part's results-*.jsonl, a failure in errors.jsonl, and nothing else says what is done.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { writeText } from '../output-file.js';
import { GrowingFile, readLines, readValues } from './lines.js';
import { partLength, type FrozenList, type Position } from './list.js';
import { errorSchema, resultSchema, type ErrorRecord, type PictureOutcome, type ResultRecord } from './outcome.js';

const errorsFile = 'errors.jsonl';

export function resultsFile(part: number): string {
  return `results-${String(part).padStart(6, '0')}.jsonl`;
}

/** A part that was complete: while its file has as many bytes it need not be read again. */
const sealSchema = z.object({ part: z.int().min(0), bytes: z.int().min(0), results: z.int().min(0) });
const sealsFile = 'complete.jsonl';

type Seal = z.infer<typeof sealSchema>;

/** A set of pictures' positions, a bit each. */
class Bitset {
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

/** Matches a part's result lines with its pictures. Pictures of one path are interchangeable: equal inputs, equal results. */
class RecordMatcher {
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
  readonly #done: Bitset;
  readonly #failed: Bitset;
  /** Bytes of each part's file that hold records, and how many. */
  readonly #kept = new Map<number, { bytes: number; results: number }>();
  readonly #open = new Map<number, Promise<OpenPart>>();
  /** Pictures of each part without a record. */
  readonly #missing: Uint32Array;
  #errors!: GrowingFile;
  #seals!: GrowingFile;

  private constructor(folder: string, list: FrozenList) {
    this.#folder = folder;
    this.#list = list;
    this.#done = new Bitset(list.length);
    this.#failed = new Bitset(list.length);
    this.#missing = Uint32Array.from({ length: list.parts }, (_, part) => list.lengthOf(part));
  }

  /**
   * Reads what is there; cuts off what was never completed.
   * @param retryErrors forgets the failures, so that their pictures are pending again.
   */
  static async open(folder: string, list: FrozenList, retryErrors: boolean): Promise<JobRecords> {
    const records = new JobRecords(folder, list);
    if (retryErrors) await writeText(join(folder, errorsFile), '');
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
    for (let part = 0; part < this.#list.parts; part++) {
      if (this.#missing[part] === 0) continue;
      for (const one of await this.#list.read(part)) if (!this.#has(one.position)) yield one;
    }
  }

  /** Keeps what came of a picture; a second outcome of one picture is dropped. */
  async write(position: number, outcome: PictureOutcome): Promise<void> {
    if (this.#has(position)) return;
    const part = Math.floor(position / partLength);
    if ('error' in outcome) {
      this.#failed.add(position);
      await this.#errors.append({ position, ...outcome } satisfies ErrorRecord);
    } else {
      this.#done.add(position);
      const open = await this.#openPart(part);
      open.results++;
      await open.file.append(outcome);
    }
    if (this.#count(part, 1) === 0) await this.#seal(part);
  }

  /** Has everything on the disk and lets go of the files. */
  async close(): Promise<void> {
    const open = await Promise.all(this.#open.values());
    for (const file of [...open.map(({ file }) => file), this.#errors, this.#seals]) {
      await file.sync();
      await file.close();
    }
  }

  /** Every outcome in the list's order; holds a part at a time, and of the failures those that were recorded out of order. */
  async *outcomes(): AsyncGenerator<Position & { readonly outcome: PictureOutcome }, void> {
    const errors = this.#errorsInOrder();
    try {
      for (let part = 0; part < this.#list.parts; part++) {
        const entries = await this.#list.read(part);
        const results = await this.#resultsOf(part, entries);
        for (const one of entries) {
          const outcome = results.get(one.position) ?? (this.#failed.has(one.position) ? await errors.take(one.position) : undefined);
          if (outcome) yield { ...one, outcome };
        }
      }
    } finally {
      await errors.end();
    }
  }

  async #resultsOf(part: number, entries: readonly Position[]): Promise<Map<number, ResultRecord>> {
    const matcher = this.#matcher(entries);
    const results = new Map<number, ResultRecord>();
    for await (const { text } of readLines(join(this.#folder, resultsFile(part)))) {
      const record = JSON.parse(text) as ResultRecord;
      const position = matcher.take(record.image);
      if (position !== undefined) results.set(position, record);
    }
    return results;
  }

  #errorsInOrder(): { take(position: number): Promise<PictureOutcome | undefined>; end(): Promise<void> } {
    const lines = readLines(join(this.#folder, errorsFile));
    const ahead = new Map<number, PictureOutcome>();
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

  /** So many more of a part's pictures have a record; how many have none yet. */
  #count(part: number, records: number): number {
    return (this.#missing[part] = (this.#missing[part] ?? 0) - records);
  }

  #has(position: number): boolean {
    return this.#done.has(position) || this.#failed.has(position);
  }

  #matcher(entries: readonly Position[]): RecordMatcher {
    return new RecordMatcher(entries.filter(({ position }) => !this.#failed.has(position)));
  }

  async #readErrors(): Promise<void> {
    const path = join(this.#folder, errorsFile);
    let end = 0;
    for await (const { value, end: next } of readValues(path, errorSchema)) {
      if (value.position >= this.#list.length || this.#failed.has(value.position)) break;
      this.#failed.add(value.position);
      this.#count(Math.floor(value.position / partLength), 1);
      end = next;
    }
    this.#errors = await GrowingFile.open(path, end);
  }

  async #readSeals(): Promise<Map<number, Seal>> {
    const path = join(this.#folder, sealsFile);
    const seals = new Map<number, Seal>();
    let end = 0;
    for await (const { value, end: next } of readValues(path, sealSchema)) {
      seals.set(value.part, value);
      end = next;
    }
    this.#seals = await GrowingFile.open(path, end);
    return seals;
  }

  async #readParts(seals: Map<number, Seal>): Promise<void> {
    for (let part = 0; part < this.#list.parts; part++) {
      const bytes = await sizeOf(join(this.#folder, resultsFile(part)));
      if (bytes === 0) continue;
      const seal = seals.get(part);
      if (seal?.bytes === bytes && seal.results === this.#missing[part]) this.#trust(part, seal);
      else await this.#scan(part);
    }
  }

  #trust(part: number, { bytes, results }: Seal): void {
    const first = part * partLength;
    for (let position = first; position < first + this.#list.lengthOf(part); position++) {
      if (!this.#failed.has(position)) this.#done.add(position);
    }
    this.#missing[part] = 0;
    this.#kept.set(part, { bytes, results });
  }

  async #scan(part: number): Promise<void> {
    const matcher = this.#matcher(await this.#list.read(part));
    const kept = { bytes: 0, results: 0 };
    for await (const { value, end } of readValues(join(this.#folder, resultsFile(part)), resultSchema)) {
      const position = matcher.take(value.image);
      if (position === undefined) break;
      this.#done.add(position);
      kept.bytes = end;
      kept.results++;
    }
    this.#kept.set(part, kept);
    if (this.#count(part, kept.results) === 0) await this.#seal(part);
  }

  #openPart(part: number): Promise<OpenPart> {
    let open = this.#open.get(part);
    if (!open) {
      const { bytes, results } = this.#kept.get(part) ?? { bytes: 0, results: 0 };
      open = GrowingFile.open(join(this.#folder, resultsFile(part)), bytes).then((file) => ({ file, results }));
      this.#open.set(part, open);
    }
    return open;
  }

  async #seal(part: number): Promise<void> {
    const { file, results } = await this.#openPart(part);
    await file.sync();
    await this.#errors.sync();
    await this.#seals.append({ part, bytes: file.bytes, results } satisfies Seal);
    this.#kept.set(part, { bytes: file.bytes, results });
    this.#open.delete(part);
    await file.close();
  }
}
