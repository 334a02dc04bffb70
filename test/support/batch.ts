// Job folders as their readers see them, and pictures to fill jobs with.
import { strict as assert } from 'node:assert';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { fixtures } from '../environment.js';

export interface ResultLine {
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly detections: unknown[];
}

export interface ErrorLine {
  readonly position: number;
  readonly image: string;
  readonly error: { readonly code: string; readonly message: string };
}

export const photos = readdirSync(join(fixtures, 'digits', 'val'))
  .sort()
  .map((name) => join(fixtures, 'digits', 'val', name));

/** Copies of the first photos under these names, so that a test may change them; their paths. */
export function copiesIn(folder: string, names: readonly string[]): string[] {
  mkdirSync(folder, { recursive: true });
  return names.map((name, i) => {
    const path = join(folder, name);
    copyFileSync(photos[i] as string, path);
    return path;
  });
}

/** Without a line that is just being written. */
function linesOf<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as T);
}

export function partsOf(job: string): string[] {
  if (!existsSync(job)) return [];
  return readdirSync(job)
    .filter((name) => name.startsWith('results-'))
    .sort()
    .map((name) => join(job, name));
}

export function resultsOf(job: string): ResultLine[] {
  return partsOf(job).flatMap((file) => linesOf<ResultLine>(file));
}

export function errorsOf(job: string): ErrorLine[] {
  return linesOf<ErrorLine>(join(job, 'errors.jsonl'));
}

/** Every picture of `inputs` has exactly one record, as often as it was named. */
export function assertComplete(job: string, inputs: readonly string[], failing: readonly string[] = []): void {
  for (const file of [...partsOf(job), join(job, 'errors.jsonl')])
    assert.match(existsSync(file) ? readFileSync(file, 'utf8') : '', /^$|\n$/, `${file} ends in the middle of a line`);
  const named = [...resultsOf(job), ...errorsOf(job)].map(({ image }) => image).sort();
  assert.deepEqual(named, [...inputs].sort());
  const errors = errorsOf(job).map(({ image, error }) => `${image} ${error.code}: ${error.message}`);
  assert.deepEqual([...new Set(errorsOf(job).map(({ image }) => image))].sort(), [...failing].sort(), errors.join('\n'));
}

/** A list file of these paths. */
export function writeList(file: string, paths: readonly string[]): string {
  writeFileSync(file, paths.map((path) => `${path}\n`).join(''));
  return file;
}

/** Processes that `parent` has started. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return new RegExp(`^PPid:\\s+${parent}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false; // it ended meanwhile
      }
    })
    .map(Number);
}

/** Whether a process has one of these files open. Of those that it reads at once, which wait for a thread is chance. */
export function hasOpen(pid: number, paths: readonly string[]): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => paths.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false; // it ended, or closed the file meanwhile
  }
}

export async function until(condition: () => boolean | Promise<boolean>, what: string, seconds = 60): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; !(await condition());) {
    assert.ok(Date.now() < deadline, `${what} did not happen within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A seeded sequence of numbers from 0 to below 1. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
