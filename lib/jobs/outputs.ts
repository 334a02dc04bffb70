// What a job leaves for its reader: the summary, other formats of the results, and the report.
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { ChangeCounter } from '../inputs/seen.js';
import { checkLoadOptions } from '../options/check.js';
import { imagesFile, openResults } from '../writers/open.js';
import type { JobFile } from './job.js';
import { readTimeline } from './meter.js';
import type { JobRecords } from './records.js';
import { readSummary, writeSummary } from './summary.js';
import { Tally } from './tally.js';
import type { BatchFormat, BatchSummary } from './types.js';

const reportFile = 'report.html';
const formatFiles = { coco: 'results.coco.json', csv: 'results.csv' } as const;
const cocoImages = imagesFile(formatFiles.coco);

interface OutputOptions {
  readonly format: BatchFormat;
  readonly annotations?: string | undefined;
}

/** Of COCO's ids the plain ones are meant, which the pictures' names beside them tell. */
function isWritten(folder: string, format: BatchFormat): boolean {
  const files = { jsonl: [], csv: [formatFiles.csv], coco: [formatFiles.coco, cocoImages] }[format];
  return [reportFile, ...files].every((file) => existsSync(join(folder, file)));
}

async function countsOf(folder: string, { total }: JobFile, { done, failed }: JobRecords): Promise<Omit<BatchSummary, 'state'>> {
  const setAside = (await readdir(folder)).filter((name) => name.startsWith('damaged-')).sort();
  return { total, done, failed, pending: total - done - failed, ...(setAside.length > 0 && { setAside }) };
}

/** Before anything is computed: what was written of a job that was complete counts no more, whatever cuts this run off. */
export async function reopenOutputs(folder: string, job: JobFile, records: JobRecords): Promise<void> {
  if ((await readSummary(folder))?.state !== 'complete') return;
  // They lack what is computed now, and would pass for written once the job is complete again.
  for (const file of [...Object.values(formatFiles), cocoImages]) await rm(join(folder, file), { force: true });
  await writeSummary(folder, { state: 'stopped', ...(await countsOf(folder, job, records)) });
}

/** Writes everything once the job is complete, the counts alone before; does nothing that an earlier run has done. */
export async function finishOutputs(
  folder: string,
  job: JobFile,
  records: JobRecords,
  options: OutputOptions,
  signal: AbortSignal | undefined,
): Promise<BatchSummary> {
  const counts = await countsOf(folder, job, records);
  if (counts.pending > 0) {
    const summary: BatchSummary = { state: 'stopped', ...counts };
    await writeSummary(folder, summary);
    return summary;
  }
  const earlier = await readSummary(folder);
  const unchanged = isDeepStrictEqual({ ...earlier, ...counts }, earlier) && earlier?.state === 'complete';
  if (unchanged && options.annotations === undefined && isWritten(folder, options.format)) return earlier;

  const tally = new Tally();
  const changes = new ChangeCounter(false);
  const { format, annotations } = options;
  const names = { classes: job.classes ?? [], keep: job.classes ? checkLoadOptions(job.settings).classes : undefined, annotations };
  const writer = format === 'jsonl' ? undefined : await openResults(format, join(folder, formatFiles[format]), names);
  try {
    for await (const { entry, seen, outcome } of records.outcomes()) {
      signal?.throwIfAborted();
      tally.add(entry, outcome);
      if (!('error' in outcome)) await changes.look(entry, seen);
      await writer?.write(outcome);
    }
    if (annotations !== undefined) await rm(join(folder, cocoImages), { force: true });
    await writer?.end();
  } catch (error) {
    await writer?.discard();
    throw error;
  }
  const [errors, classes] = [Object.fromEntries(tally.errors), Object.fromEntries(tally.classes)];
  const changed = await changes.changed();
  const summary: BatchSummary = { state: 'complete', ...counts, errors, detections: tally.detections, classes, changed };
  const { writeReport } = await import('./report.js'); // with the charts
  await writeReport(join(folder, reportFile), job, summary, tally, await readTimeline(folder));
  await writeSummary(folder, summary);
  return summary;
}
