// A job's summary.json: the counts.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeText } from '../output-file.js';

/** What became of a job's pictures. */
export interface BatchSummary {
  /** 'complete' when every picture has its record. */
  readonly state: 'complete' | 'stopped';
  /** Pictures of the job. */
  readonly total: number;
  /** Pictures with a result. */
  readonly done: number;
  /** Pictures with an error. */
  readonly failed: number;
  /** Pictures without a record. */
  readonly pending: number;
  /** Once complete: how many errors of each code. */
  readonly errors?: Readonly<Record<string, number>>;
  /** Once complete: objects found. */
  readonly detections?: number;
  /** Once complete: objects found of each class. */
  readonly classes?: Readonly<Record<string, number>>;
}

const summaryFile = 'summary.json';

export function writeSummary(folder: string, summary: BatchSummary): Promise<void> {
  return writeText(join(folder, summaryFile), `${JSON.stringify(summary, null, 2)}\n`);
}

export async function readSummary(folder: string): Promise<BatchSummary | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, summaryFile), 'utf8')) as BatchSummary;
  } catch {
    return undefined;
  }
}
