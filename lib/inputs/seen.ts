// What a picture's file was like when it was listed, so that a later change is noticed.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';

import { z } from 'zod';

import { openRegular, readBytes } from '../regular-file.js';
import { sha256 } from '../weights/weights.js';
import type { Entry } from './entry.js';
import { onDisk } from './file-names.js';

/** Pictures that are looked at at once. */
export const looksAtOnce = 64;

/** Of the file, or of the tar file that holds it. */
export const seenSchema = z.strictObject({
  /** Bytes. */
  size: z.int().min(0),
  /** When it was changed last, in milliseconds since 1970. */
  time: z.int(),
  /** Of the picture's own bytes, where it was asked for. */
  sha256: z.string().optional(),
});

export type Seen = z.infer<typeof seenSchema>;

/** Milliseconds before and after 1970 of which there are dates; a file may have a time beyond, which counts as the last. */
const latest = 8.64e15;

/** Bytes that are read at once: of some pictures at a time, each of which may be as large as its tar file. */
const pieceBytes = 256 * 1024;

async function digestOf({ path, member }: Entry): Promise<string> {
  if (!member) return sha256(path);
  const { tar, offset, size } = member;
  const hash = createHash('sha256');
  await using file = (await openRegular(tar)).file;
  for (let at = 0; at < size; at += pieceBytes) {
    const piece = Math.min(pieceBytes, size - at);
    const bytes = await readBytes(file, offset + at, piece);
    if (bytes.length < piece) throw new Error(`${tar} ends before ${offset + size} bytes`);
    hash.update(bytes);
  }
  return hash.digest('hex');
}

/** Undefined where there is no such file: it fails by itself when it is read. */
export async function look(entry: Entry, hash: boolean): Promise<Seen | undefined> {
  const found = await stat(onDisk(entry.member?.tar ?? entry.path)).catch(() => undefined);
  if (found?.isFile() !== true) return undefined;
  const seen = { size: found.size, time: Math.trunc(Math.max(-latest, Math.min(latest, found.mtimeMs))) };
  if (!hash) return seen;
  const digest = await digestOf(entry).catch(() => undefined);
  return digest === undefined ? undefined : { ...seen, sha256: digest };
}

/**
 * How a picture differs from what was seen, in words. One that was hashed is told by its bytes alone, one whose file is gone by nothing.
 * @param thorough hashes again even where size and time are the same.
 */
export async function changeOf(entry: Entry, seen: Seen | undefined, thorough: boolean): Promise<string | undefined> {
  if (!seen) return undefined;
  const now = await look(entry, false);
  if (!now) return undefined;
  const same = now.size === seen.size && now.time === seen.time;
  if (seen.sha256 === undefined) {
    const described = ({ size, time }: Seen): string => `${size} bytes of ${new Date(time).toISOString()}`;
    return same ? undefined : `it was ${described(seen)} and is ${described(now)}`;
  }
  if (same && !thorough) return undefined;
  const digest = await digestOf(entry).catch(() => undefined);
  return digest === undefined || digest === seen.sha256
    ? undefined
    : `its sha256 was ${seen.sha256.slice(0, 16)} and is ${digest.slice(0, 16)}`;
}

/** Looks at pictures, some at once, and counts those that have changed. */
export class ChangeCounter {
  #looking: Promise<string | undefined>[] = [];
  #changed = 0;

  constructor(private readonly thorough: boolean) {}

  async look(entry: Entry, seen: Seen | undefined): Promise<void> {
    this.#looking.push(changeOf(entry, seen, this.thorough));
    if (this.#looking.length === looksAtOnce) await this.changed();
  }

  /** Of all that were looked at. */
  async changed(): Promise<number> {
    const changes = await Promise.all(this.#looking);
    this.#looking = [];
    return (this.#changed += changes.filter((change) => change !== undefined).length);
  }
}
