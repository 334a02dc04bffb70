// Files of one JSON value a line that only grow. Each line carries a checksum; one that was cut off counts as never written, a damaged one is set aside.
import { rename, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

import pLimit from 'p-limit';
import type { z } from 'zod';

import { CornerNetError, sentenceOf } from '../errors.js';
import { openFile } from '../file-handle.js';
import { orUnwritable, syncFolder, unwritable } from '../output-file.js';
import { openRegular, readBytes } from '../regular-file.js';

interface Line {
  readonly bytes: Buffer;
  /** Where it begins and the next one does, in bytes. */
  readonly begin: number;
  readonly end: number;
}

const newline = 10;
/** Bytes of a line at most: more without an end is damage, to be passed over in pieces. */
const longestLine = 256 * 1024 ** 2;

function unreadable(path: string, error: unknown): CornerNetError {
  return new CornerNetError('ERR_INPUT', `${path} can't be read: ${sentenceOf(error)}`, { cause: error });
}

/** The complete lines of a file; none when there is no file. */
async function* readLines(path: string): AsyncGenerator<Line, void> {
  let file: FileHandle;
  try {
    ({ file } = await openRegular(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw unreadable(path, error);
  }
  try {
    const block = Buffer.alloc(1 << 20);
    let rest: Buffer = Buffer.alloc(0);
    let end = 0;
    const line = (begin: number, length: number, ending: number): Line => {
      const from = end;
      end += length + ending;
      return { bytes: rest.subarray(begin, begin + length), begin: from, end };
    };
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length).catch((error: unknown) => {
        throw unreadable(path, error);
      });
      if (bytesRead === 0) return;
      rest = Buffer.concat([rest, block.subarray(0, bytesRead)]);
      let begin = 0;
      for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline, begin)) {
        yield line(begin, at - begin, 1);
        begin = at + 1;
      }
      rest = rest.subarray(begin);
      if (rest.length <= longestLine) continue;
      yield line(0, rest.length, 0);
      rest = Buffer.alloc(0);
    }
  } finally {
    await file.close();
  }
}

/** JSON of a line, undefined when it is none. */
export function parseLine(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What stands behind the value's own properties: the CRC-32 of all that stands before. */
function seal(body: Buffer | string): string {
  return `,"crc32":"${crc32(body).toString(16).padStart(8, '0')}"}`;
}

const sealLength = seal('').length;

/** A line of such a file. */
export function lineOf(value: object): string {
  const body = JSON.stringify(value).slice(0, -1);
  return `${body}${seal(body)}\n`;
}

/** The value of a line as it was written; undefined of anything else. */
function valueOf<T>(bytes: Buffer, schema: z.ZodType<T>): T | undefined {
  const body = bytes.subarray(0, Math.max(0, bytes.length - sealLength));
  if (bytes.toString('latin1', body.length) !== seal(body)) return undefined;
  return schema.safeParse(parseLine(bytes.toString())).data;
}

/** The value of each complete line, undefined for a damaged one. */
export async function* readValues<T>(path: string, schema: z.ZodType<T>): AsyncGenerator<Line & { value: T | undefined }, void> {
  for await (const line of readLines(path)) yield { ...line, value: valueOf(line.bytes, schema) };
}

/** The records of a file by their positions, asked for in order: of one that comes before its turn the place alone is kept, and it is read again then, once. */
export class RecordsInOrder<T extends { readonly position: number }> {
  readonly #path: string;
  readonly #schema: z.ZodType<T>;
  readonly #lines: AsyncGenerator<Line & { value: T | undefined }, void>;
  readonly #ahead = new Map<number, Pick<Line, 'begin' | 'end'>>();
  #file: FileHandle | undefined;

  constructor(path: string, schema: z.ZodType<T>) {
    this.#path = path;
    this.#schema = schema;
    this.#lines = readValues(path, schema);
  }

  /**
   * Undefined where it is damaged, or not there.
   * @throws {CornerNetError} `ERR_INPUT`.
   */
  async take(position: number): Promise<T | undefined> {
    const place = this.#ahead.get(position);
    this.#ahead.delete(position);
    if (place) return this.#readAgain(place);
    for (;;) {
      const next = await this.#lines.next();
      if (next.done === true || !next.value.value) return undefined;
      const { value, begin, end } = next.value;
      if (value.position === position) return value;
      this.#ahead.set(value.position, { begin, end });
    }
  }

  async close(): Promise<void> {
    await this.#lines.return();
    await this.#file?.close();
  }

  async #readAgain({ begin, end }: Pick<Line, 'begin' | 'end'>): Promise<T | undefined> {
    try {
      this.#file ??= (await openRegular(this.#path)).file;
      const bytes = Buffer.from(await readBytes(this.#file, begin, end - begin));
      return valueOf(bytes.subarray(0, -1), this.#schema);
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }
}

/** The name of the file beside it that keeps what was damaged in a file. */
export function damagedFile(path: string): string {
  return join(dirname(path), `damaged-${basename(path)}`);
}

/** What {@link readWhole} found. */
export interface WholeLines {
  /** Bytes that they make, in a file of their own. */
  readonly bytes: number;
  readonly lines: number;
  /** Lines that are no whole records, or were refused. */
  readonly damaged: number;
}

interface Stretch {
  readonly begin: number;
  end: number;
}

/** Moves the stretches to the damaged file. Those that are cut off from it by a kill are moved twice, none is lost. */
async function moveAside(path: string, stretches: readonly Stretch[], length: number): Promise<void> {
  const aside = `${path}.part`;
  await using from = await openFile(path);
  const copy = async (to: FileHandle, begin: number, end: number): Promise<void> => {
    if (begin === end) return;
    for await (const chunk of from.createReadStream({ start: begin, end: end - 1, autoClose: false })) await to.appendFile(chunk as Buffer);
  };
  await using damaged = await openFile(damagedFile(path), 'a');
  for (const { begin, end } of stretches) await copy(damaged, begin, end);
  await damaged.sync();
  await using whole = await openFile(aside, 'w');
  let kept = 0;
  for (const { begin, end } of [...stretches, { begin: length, end: length }]) {
    await copy(whole, kept, begin);
    kept = end;
  }
  await whole.sync();
  await rename(aside, path);
  await syncFolder(dirname(path));
}

/**
 * Hands the values of a file's whole lines to `take`, which may refuse them.
 * @param repair sets aside what is damaged or refused.
 * @throws {CornerNetError} `ERR_INPUT`, `ERR_WRITE`.
 */
export async function readWhole<T>(path: string, schema: z.ZodType<T>, take: (value: T) => boolean, repair: boolean): Promise<WholeLines> {
  const stretches: Stretch[] = [];
  let [bytes, lines, damaged, length] = [0, 0, 0, 0];
  for await (const { value, begin, end } of readValues(path, schema)) {
    length = end;
    if (value !== undefined && take(value)) {
      bytes += end - begin;
      lines++;
      continue;
    }
    damaged++;
    const last = stretches.at(-1);
    if (last?.end === begin) last.end = end;
    else stretches.push({ begin, end });
  }
  if (repair && stretches.length > 0) await orUnwritable(path, moveAside(path, stretches, length));
  return { bytes, lines, damaged };
}

/** Appends lines in the order of the calls. */
export class GrowingFile {
  readonly #inTurn = pLimit(1);
  #failure: CornerNetError | undefined;

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
    private written: number,
  ) {}

  /** @param keep bytes from its beginning that stay; what is behind them is cut off. */
  static async open(path: string, keep: number): Promise<GrowingFile> {
    try {
      const made = (await stat(path).catch(() => undefined)) === undefined;
      const file = await openFile(path, 'a');
      try {
        if (made) await syncFolder(dirname(path));
        else if ((await file.stat()).size !== keep) await file.truncate(keep);
      } catch (error) {
        await file.close();
        throw error;
      }
      return new GrowingFile(path, file, keep);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /** Bytes that are written. */
  get bytes(): number {
    return this.written;
  }

  /** After one that failed nothing is written any more: its line may stand there by half. */
  append(value: object): Promise<void> {
    return this.#next(async () => {
      const line = Buffer.from(lineOf(value));
      await this.file.appendFile(line);
      this.written += line.length;
    });
  }

  /** Has everything on the disk. */
  sync(): Promise<void> {
    return this.#next(() => this.file.datasync());
  }

  async close(): Promise<void> {
    await this.#inTurn(() => this.file.close());
  }

  #next(work: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#failure) throw this.#failure;
      try {
        await work();
      } catch (error) {
        throw (this.#failure = unwritable(this.path, error));
      }
    });
  }
}
