// Files of one JSON value a line that only grow; what was cut off in the middle of a line counts as never written.
import { open, type FileHandle } from 'node:fs/promises';

import type { z } from 'zod';

import { CornerNetError, sentenceOf } from '../errors.js';
import { unwritable } from '../output-file.js';

interface Line {
  readonly text: string;
  /** Where the next line begins, in bytes. */
  readonly end: number;
}

const newline = 10;

function unreadable(path: string, error: unknown): CornerNetError {
  return new CornerNetError('ERR_INPUT', `${path} can't be read: ${sentenceOf(error)}`, { cause: error });
}

/** The complete lines of a file; none when there is no file. */
export async function* readLines(path: string): AsyncGenerator<Line, void> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw unreadable(path, error);
  }
  try {
    const block = Buffer.alloc(1 << 20);
    let rest: Buffer = Buffer.alloc(0);
    let end = 0;
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length).catch((error: unknown) => {
        throw unreadable(path, error);
      });
      if (bytesRead === 0) return;
      rest = Buffer.concat([rest, block.subarray(0, bytesRead)]);
      let begin = 0;
      for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline, begin)) {
        end += at + 1 - begin;
        yield { text: rest.toString('utf8', begin, at), end };
        begin = at + 1;
      }
      rest = rest.subarray(begin);
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

/** The values of a file's lines up to the first line that is not of the schema: from a damaged one on nothing counts. */
export async function* readValues<T>(path: string, schema: z.ZodType<T>): AsyncGenerator<{ value: T; end: number }, void> {
  for await (const { text, end } of readLines(path)) {
    const { success, data } = schema.safeParse(parseLine(text));
    if (!success) return;
    yield { value: data, end };
  }
}

/** Appends lines in the order of the calls. */
export class GrowingFile {
  readonly path: string;
  readonly #file: FileHandle;
  #bytes: number;
  #last: Promise<unknown> = Promise.resolve();
  #broken = false;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** @param keep bytes from its beginning that stay; what is behind them is cut off. */
  static async open(path: string, keep: number): Promise<GrowingFile> {
    try {
      const file = await open(path, 'a');
      try {
        if ((await file.stat()).size !== keep) await file.truncate(keep);
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
    return this.#bytes;
  }

  append(value: object): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(value)}\n`);
    const written = this.#last.then(async () => {
      await this.#file.appendFile(line);
      this.#bytes += line.length;
    });
    this.#last = written.catch(() => undefined);
    return written.catch((error: unknown) => {
      this.#broken = true;
      throw unwritable(this.path, error);
    });
  }

  /** Has everything on the disk, unless an append has failed already. */
  async sync(): Promise<void> {
    await this.#last;
    if (this.#broken) return;
    await this.#file.datasync().catch((error: unknown) => {
      throw unwritable(this.path, error);
    });
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }
}
