// A job's summary.json: the counts.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeText } from '../output-file.js';
import type { BatchSummary } from './types.js';

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
