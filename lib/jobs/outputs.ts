// What a job leaves for its reader: the summary, other formats of the results, and the report.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { openOutput, writeText } from '../output-file.js';
import { annotatedCocoIds, cocoWriter, plainCocoIds } from '../writers/coco.js';
import { csvWriter } from '../writers/csv.js';
import type { ResultWriter } from '../writers/writer.js';
import type { JobFile } from './job.js';
import { readTimeline } from './meter.js';
import type { JobRecords } from './records.js';
import { ReportGatherer, writeReport } from './report.js';

export type BatchFormat = 'jsonl' | 'coco' | 'csv';

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
export const reportFile = 'report.html';
const cocoFile = 'results.coco.json';
const cocoImagesFile = 'results.coco.images.json';
const csvFile = 'results.csv';

function writeSummary(folder: string, summary: BatchSummary): Promise<void> {
  return writeText(join(folder, summaryFile), `${JSON.stringify(summary, null, 2)}\n`);
}

async function earlierSummary(folder: string): Promise<BatchSummary | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, summaryFile), 'utf8')) as BatchSummary;
  } catch {
    return undefined;
  }
}

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
  const earlier = await earlierSummary(folder);
  const unchanged = earlier?.state === 'complete' && earlier.done === done && earlier.failed === failed;
  if (unchanged && options.annotations === undefined && isWritten(folder, options.format)) return earlier;

  const gatherer = new ReportGatherer();
  const writer = await openWriter(folder, job, options);
  try {
    for await (const { entry, outcome } of records.outcomes()) {
      signal?.throwIfAborted();
      gatherer.add(entry, outcome);
      await writer?.write(outcome);
    }
    await writer?.end();
  } catch (error) {
    await writer?.discard();
    throw error;
  }
  const { errors, detections, classes } = gatherer;
  const summary: BatchSummary = { state: 'complete', ...counts, errors, detections, classes };
  await writeReport(join(folder, reportFile), job, summary, gatherer, await readTimeline(folder));
  await writeSummary(folder, summary);
  return summary;
}
