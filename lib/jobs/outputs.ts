// What a job leaves for its reader: the summary, other formats of the results, and the report.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { openOutput } from '../output-file.js';
import { annotatedCocoIds, cocoWriter, plainCocoIds } from '../writers/coco.js';
import { csvWriter } from '../writers/csv.js';
import type { ResultWriter } from '../writers/writer.js';
import type { JobFile } from './job.js';
import { readTimeline } from './meter.js';
import type { JobRecords } from './records.js';
import { readSummary, writeSummary } from './summary.js';
import { Tally } from './tally.js';
import type { BatchFormat, BatchSummary } from './types.js';

const reportFile = 'report.html';
const cocoFile = 'results.coco.json';
const cocoImagesFile = 'results.coco.images.json';
const csvFile = 'results.csv';

interface OutputOptions {
  readonly format: BatchFormat;
  readonly annotations?: string | undefined;
}

async function openWriter(folder: string, job: JobFile, { format, annotations }: OutputOptions): Promise<ResultWriter | undefined> {
  if (format === 'jsonl') return undefined;
  if (format === 'csv') return csvWriter(openOutput(join(folder, csvFile)));
  const classes = job.classes ?? [];
  const output = openOutput(join(folder, cocoFile));
  if (annotations !== undefined) return cocoWriter(output, await annotatedCocoIds(annotations, classes));
  return cocoWriter(output, plainCocoIds(classes), openOutput(join(folder, cocoImagesFile)));
}

function isWritten(folder: string, format: BatchFormat): boolean {
  const files = [reportFile, ...(format === 'csv' ? [csvFile] : format === 'coco' ? [cocoFile] : [])];
  return files.every((file) => existsSync(join(folder, file)));
}

/** Writes everything once the job is complete, the counts alone before; does nothing that an earlier run has done. */
export async function finishOutputs(
  folder: string,
  job: JobFile,
  records: JobRecords,
  options: OutputOptions,
  signal: AbortSignal | undefined,
): Promise<BatchSummary> {
  const { done, failed } = records;
  const pending = job.total - done - failed;
  const counts = { total: job.total, done, failed, pending };
  if (pending > 0) {
    const summary: BatchSummary = { state: 'stopped', ...counts };
    await writeSummary(folder, summary);
    return summary;
  }
  const earlier = await readSummary(folder);
  const unchanged = earlier?.state === 'complete' && earlier.done === done && earlier.failed === failed;
  if (unchanged && options.annotations === undefined && isWritten(folder, options.format)) return earlier;

  const tally = new Tally();
  const writer = await openWriter(folder, job, options);
  try {
    for await (const { entry, outcome } of records.outcomes()) {
      signal?.throwIfAborted();
      tally.add(entry, outcome);
      await writer?.write(outcome);
    }
    await writer?.end();
  } catch (error) {
    await writer?.discard();
    throw error;
  }
  const [errors, classes] = [Object.fromEntries(tally.errors), Object.fromEntries(tally.classes)];
  const summary: BatchSummary = { state: 'complete', ...counts, errors, detections: tally.detections, classes };
  const { writeReport } = await import('./report.js'); // with the charts
  await writeReport(join(folder, reportFile), job, summary, tally, await readTimeline(folder));
  await writeSummary(folder, summary);
  return summary;
}
