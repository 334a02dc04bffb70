// A job's summary.json: the counts.
import { join } from 'node:path';

import { writeText } from '../output-file.js';
import { readText } from '../regular-file.js';
import type { BatchSummary } from './types.js';

const summaryFile = 'summary.json';

export function writeSummary(folder: string, summary: BatchSummary): Promise<void> {
  return writeText(join(folder, summaryFile), `${JSON.stringify(summary, null, 2)}\n`);
}

export async function readSummary(folder: string): Promise<BatchSummary | undefined> {
  try {
    return JSON.parse(await readText(join(folder, summaryFile))) as BatchSummary;
  } catch {
    return undefined;
  }
}
