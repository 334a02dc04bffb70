// The records of a job: a success stands in its part's results-*.jsonl, a failure in errors.jsonl, and nothing else says what is done.
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { writeText } from '../output-file.js';
import { GrowingFile, readValues, readWhole, RecordsInOrder, type WholeLines } from './lines.js';
import { partLength, type FrozenList, type Position } from './list.js';
import { errorLineSchema, failedOutcome, resultLineSchema, resultSchema, type PictureOutcome } from './outcome.js';

const errorsFile = 'errors.jsonl';

export function resultsFile(part: number): string {
  return `results-${String(part).padStart(6, '0')}.jsonl`;
}

/** A part that was complete: while its file has as many bytes it need not be read again. */
const sealSchema = z.object({ part: z.int().min(0), bytes: z.int().min(0), results: z.int().min(0) });
const sealsFile = 'complete.jsonl';

type Seal = z.infer<typeof sealSchema>;

/** Records after which all are put on the disk: what a power cut may take. */
const recordsASync = 256;

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** What there is of a picture; 'retried' is one whose failure was forgotten. */
const states = { none: 0, done: 1, failed: 2, retried: 3 } as const;

interface OpenPart {
  readonly file: GrowingFile;
  results: number;
}

/** Lines of a job's file that are no records, or one too many of a picture. */
export interface Damage {
  /** In the job's folder. */
  readonly file: string;
  readonly lines: number;
}

/** A part that was complete and isn't what it was. */
export class DamagedRecords extends CornerNetError {
  constructor(path: string) {
    super('ERR_JOB', `${path} was damaged after it was complete`);
  }
}

interface RecordsOptions {
  /** Forgets the failures, so that their pictures are pending again. */
  readonly retryErrors?: boolean | undefined;
  /** Whether a part that was complete is read again. */
  readonly thorough?: boolean;
  /** Whether the files are only read: nothing is set aside and nothing can be written. */
  readonly readOnly?: boolean;
  /** Ends the reading. */
  readonly signal?: AbortSignal | undefined;
  /** Rejects once the folder is another process's; asked before writing, `anew` before what would have others rely on it. */
  readonly held?: (anew?: boolean) => Promise<void>;
}

export class JobRecords {
  /** What was set aside. */
  readonly damaged: Damage[] = [];
  readonly #states: Uint8Array;
  #done = 0;
  #failed = 0;
  /** Bytes of each part's file that hold records, and how many. */
  readonly #kept = new Map<number, { bytes: number; lines: number }>();
  readonly #open = new Map<number, Promise<OpenPart>>();
  /** Pictures of each part without a record. */
  readonly #missing: Uint32Array;
  #errors: GrowingFile | undefined;
  #seals: GrowingFile | undefined;
  #unsynced = 0;
  #closed = false;

  private constructor(
    private readonly folder: string,
    private readonly list: FrozenList,
    private readonly options: RecordsOptions,
  ) {
    this.#states = new Uint8Array(list.length);
    this.#missing = Uint32Array.from({ length: list.parts }, (_, part) => list.lengthOf(part));
  }

  /**
   * Reads what is there, cuts off what was never completed, sets aside what is damaged.
   * @throws {CornerNetError} `ERR_INPUT`, `ERR_WRITE`, `ERR_JOB` (the list).
   */
  static async open(folder: string, list: FrozenList, options: RecordsOptions = {}): Promise<JobRecords> {
    const records = new JobRecords(folder, list, options);
    try {
      if (options.retryErrors === true) await records.#forgetErrors();
      records.#errors = await records.#grow(errorsFile, await records.#readErrors());
      const seals = new Map<number, Seal>();
      const whole = await records.#readWhole(sealsFile, sealSchema, (one) => seals.set(one.part, one).size > 0);
      records.#seals = await records.#grow(sealsFile, whole);
      await records.#readParts(seals);
      return records;
    } catch (error) {
      await records.close().catch(() => undefined);
      throw error;
    }
  }

  /** Pictures with a result. */
  get done(): number {
    return this.#done;
  }

  /** Pictures with an error. */
  get failed(): number {
    return this.#failed;
  }

  hasResult(position: number): boolean {
    return this.#is(position, 'done');
  }

  /** Pictures without a record, in the list's order. A failure that was forgotten is tried as the picture is now, without `seen`. */
  async *pending(): AsyncGenerator<Position, void> {
    for (let part = 0; part < this.list.parts; part++) {
      if (this.#missing[part] === 0) continue;
      for (const one of await this.list.read(part)) {
        if (!this.#has(one.position)) yield this.#is(one.position, 'retried') ? { ...one, seen: undefined } : one;
      }
    }
  }

  /** Keeps what came of a picture; a second outcome of one picture is dropped, and what comes when the records are closed. */
  async write({ position, image, entry }: Position, outcome: PictureOutcome): Promise<void> {
    await this.options.held?.();
    if (this.#closed || this.#has(position)) return;
    const part = Math.floor(position / partLength);
    // JSON has no such numbers: what isn't finite would come back as another record.
    const kept =
      'error' in outcome || resultSchema.safeParse(outcome).success
        ? outcome
        : failedOutcome(
            entry,
            new CornerNetError('ERR_INTERNAL', 'the detector gave a result that is none (a number that is not finite?)'),
          );
    if ('error' in kept) {
      this.#mark(position, 'failed');
      await this.#errors?.append({ position, ...kept, image });
    } else {
      this.#mark(position, 'done');
      const open = await this.#openPart(part);
      open.results++;
      await open.file.append({ ...kept, image, position });
    }
    if (this.#count(part, 1) === 0) await this.#seal(part);
    else if (++this.#unsynced >= recordsASync) await this.#sync();
  }

  /** Has everything on the disk and lets go of the files. */
  async close(): Promise<void> {
    this.#closed = true;
    const open = await Promise.allSettled(this.#open.values());
    const parts = open.flatMap((one) => (one.status === 'fulfilled' ? [one.value.file] : []));
    const files = [...parts, this.#errors, this.#seals].filter((file) => file !== undefined);
    const ended = await Promise.allSettled(files.map((file) => file.sync().finally(() => file.close())));
    const failure = ended.find((end) => end.status === 'rejected');
    if (failure) throw failure.reason;
  }

  /**
   * Every outcome in the list's order; of those that were recorded out of order no more than their places is held.
   * @throws {DamagedRecords} when a record of a complete job isn't there any more.
   */
  async *outcomes(): AsyncGenerator<Position & { readonly outcome: PictureOutcome }, void> {
    const failuresPath = join(this.folder, errorsFile);
    const failures = new RecordsInOrder(failuresPath, errorLineSchema);
    try {
      for (let part = 0; part < this.list.parts; part++) {
        const path = join(this.folder, resultsFile(part));
        const results = new RecordsInOrder(path, resultLineSchema);
        try {
          for (const one of await this.list.read(part)) {
            const failed = this.#is(one.position, 'failed');
            const outcome = await (failed ? failures : results).take(one.position);
            if (!outcome) throw new DamagedRecords(failed ? failuresPath : path);
            yield { ...one, outcome };
          }
        } finally {
          await results.close();
        }
      }
    } finally {
      await failures.close();
    }
  }

  /** So many more of a part's pictures have a record; how many have none yet. */
  #count(part: number, records: number): number {
    return (this.#missing[part] = (this.#missing[part] ?? 0) - records);
  }

  #has(position: number): boolean {
    return this.#is(position, 'done') || this.#is(position, 'failed');
  }

  #is(position: number, state: keyof typeof states): boolean {
    return this.#states[position] === states[state];
  }

  #mark(position: number, state: 'done' | 'failed'): void {
    if (this.#is(position, 'failed')) this.#failed--;
    if (state === 'done') this.#done++;
    else this.#failed++;
    this.#states[position] = states[state];
  }

  async #readWhole<T>(file: string, schema: z.ZodType<T>, take: (value: T) => boolean): Promise<WholeLines> {
    const whole = await readWhole(join(this.folder, file), schema, take, this.options.readOnly !== true);
    if (whole.damaged > 0) this.damaged.push({ file, lines: whole.damaged });
    return whole;
  }

  async #grow(file: string, { bytes }: WholeLines): Promise<GrowingFile | undefined> {
    return this.options.readOnly === true ? undefined : GrowingFile.open(join(this.folder, file), bytes);
  }

  async #forgetErrors(): Promise<void> {
    const path = join(this.folder, errorsFile);
    for await (const { value } of readValues(path, errorLineSchema)) if (value) this.#states[value.position] = states.retried;
    await writeText(path, '');
  }

  #readErrors(): Promise<WholeLines> {
    return this.#readWhole(errorsFile, errorLineSchema, ({ position }) => {
      if (position >= this.list.length || this.#is(position, 'failed')) return false;
      this.#mark(position, 'failed');
      this.#count(Math.floor(position / partLength), 1);
      return true;
    });
  }

  async #readParts(seals: ReadonlyMap<number, Seal>): Promise<void> {
    for (let part = 0; part < this.list.parts; part++) {
      this.options.signal?.throwIfAborted();
      const bytes = await sizeOf(join(this.folder, resultsFile(part)));
      if (bytes === 0) continue;
      const seal = seals.get(part);
      const known = seal?.bytes === bytes && seal.results === this.#missing[part];
      if (known && this.options.thorough !== true) this.#trust(part, seal);
      else await this.#scan(part, known);
    }
  }

  #trust(part: number, { bytes, results }: Seal): void {
    const first = part * partLength;
    for (let position = first; position < first + this.list.lengthOf(part); position++) {
      if (!this.#is(position, 'failed')) this.#mark(position, 'done');
    }
    this.#missing[part] = 0;
    this.#kept.set(part, { bytes, lines: results });
  }

  async #scan(part: number, sealed: boolean): Promise<void> {
    const first = part * partLength;
    const listed = await this.list.read(part);
    const whole = await this.#readWhole(resultsFile(part), resultLineSchema, ({ position, image }) => {
      if (listed[position - first]?.image !== image || this.#is(position, 'done')) return false;
      // With an error besides, which was tried again before a power cut kept both, the result counts.
      if (!this.#is(position, 'failed')) this.#count(part, 1);
      this.#mark(position, 'done');
      return true;
    });
    this.#kept.set(part, whole);
    if (this.#missing[part] === 0 && !sealed) await this.#seal(part);
  }

  #openPart(part: number): Promise<OpenPart> {
    let open = this.#open.get(part);
    if (!open) {
      const { bytes, lines } = this.#kept.get(part) ?? { bytes: 0, lines: 0 };
      open = GrowingFile.open(join(this.folder, resultsFile(part)), bytes).then((file) => ({ file, results: lines }));
      this.#open.set(part, open);
    }
    return open;
  }

  async #sync(): Promise<void> {
    this.#unsynced = 0;
    const parts = [...this.#open].map(async ([part, open]) => {
      const { file } = await open;
      if (this.#open.has(part)) await file.sync(); // else it was sealed and closed meanwhile
    });
    await Promise.all([...parts, this.#errors?.sync()]);
  }

  async #seal(part: number): Promise<void> {
    if (this.options.readOnly === true) return;
    const { file, results } = await this.#openPart(part);
    await file.sync();
    await this.#errors?.sync();
    await this.options.held?.(true);
    await this.#seals?.append({ part, bytes: file.bytes, results } satisfies Seal);
    this.#kept.set(part, { bytes: file.bytes, lines: results });
    this.#open.delete(part);
    await file.close();
  }
}

/** What was set aside, for people; empty when nothing was. */
export function damageSentence(damaged: readonly Damage[]): string {
  const files = damaged.map(({ file, lines }) => `${lines} ${lines === 1 ? 'line' : 'lines'} of ${basename(file)}`);
  return files.length === 0
    ? ''
    : `${files.join(', ')} are damaged or one too many and were set aside (damaged-*); what they recorded is computed again`;
}
