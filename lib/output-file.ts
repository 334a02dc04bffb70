// Text outputs: a file, which appears under its name only when it is complete, or standard output.
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';

import { CornerNetError, sentenceOf } from './errors.js';

export interface TextOutput {
  write(text: string | Uint8Array): Promise<void>;
  /** Makes what was written final. */
  commit(): Promise<void>;
  /** Leaves no trace of a file. */
  discard(): Promise<void>;
}

/** What becomes of any failure to write `path`. */
export function unwritable(path: string, error: unknown): CornerNetError {
  return new CornerNetError('ERR_WRITE', `${path} can't be written: ${sentenceOf(error)}`, { cause: error });
}

async function writeTo(stream: Writable, text: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => stream.write(text, (error) => (error ? reject(error) : resolve())));
}

class FileOutput implements TextOutput {
  readonly #path: string;
  readonly #aside: string;
  #stream: Writable | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#aside = `${path}.${process.pid}.part`;
  }

  async write(text: string | Uint8Array): Promise<void> {
    await this.#attempt(async () => writeTo(await this.#open(), text));
  }

  async commit(): Promise<void> {
    await this.#attempt(async () => {
      const stream = await this.#open();
      stream.end();
      await finished(stream);
      await rename(this.#aside, this.#path);
    });
  }

  async discard(): Promise<void> {
    this.#stream?.destroy();
    await rm(this.#aside, { force: true }).catch(() => undefined); // there is nothing where it could not be made
  }

  async #open(): Promise<Writable> {
    if (!this.#stream) {
      await mkdir(dirname(this.#path), { recursive: true });
      this.#stream = createWriteStream(this.#aside);
      this.#stream.on('error', () => undefined); // each write reports its own
    }
    return this.#stream;
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.discard();
      throw unwritable(this.#path, error);
    }
  }
}

/** Of `path`, or of standard output without one. */
export function openOutput(path?: string): TextOutput {
  if (path !== undefined) return new FileOutput(path);
  return {
    write: (text) => writeTo(process.stdout, text),
    commit: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
}

/**
 * Writes a whole text (or bytes), to standard output without a `path`.
 * @throws {CornerNetError} `ERR_WRITE` when the file can't be written, of which nothing is left then.
 */
export async function writeText(path: string | undefined, text: string | Uint8Array): Promise<void> {
  const output = openOutput(path);
  await output.write(text);
  await output.commit();
}
