// A job's report.html: what was found, how fast, and pictures to judge it by.
import { sourceOf } from '../inputs/entry.js';
import { writeText } from '../output-file.js';
import { ofDetections } from '../render/boxes.js';
import { barChart, chart, type Point } from '../report/chart.js';
import { htmlPage, htmlTable, type Section } from '../report/page.js';
import { drawSmall, sheet, type Thumbnail } from '../report/sheet.js';
import type { JobFile } from './job.js';
import type { Sample } from './meter.js';
import { scoreBins, type Shown, type Tally } from './tally.js';
import type { BatchSummary } from './types.js';

const shownClasses = 30;

function thumbnail({ entry, outcome }: Shown): Thumbnail {
  if ('error' in outcome) return { caption: `${outcome.image}: ${outcome.error.code}: ${outcome.error.message}` };
  const { image, detections } = outcome;
  return {
    caption: `${image}: ${detections.length === 0 ? 'nothing' : `${detections.length} found`}`,
    draw: () => drawSmall(sourceOf(entry), ofDetections(detections)),
  };
}

function rateSection(samples: readonly Sample[]): Section[] {
  const points: Point[] = [];
  let elapsed = 0;
  samples.forEach((sample, i) => {
    const before = samples[i - 1];
    if (!before || sample.start === true) return; // between two runs no time counts
    const seconds = (sample.time - before.time) / 1000;
    const y = (sample.done + sample.failed - before.done - before.failed) / seconds;
    if (seconds <= 0) return;
    points.push({ x: elapsed, y }, { x: elapsed + seconds, y });
    elapsed += seconds;
  });
  if (points.length === 0) return [];
  const html = chart({
    label: 'Pictures a second over time',
    x: { name: 'seconds of work' },
    y: { name: 'pictures a second' },
    series: [{ name: 'rate', mark: 'line', points }],
  });
  return [{ title: 'Rate', text: 'Pictures a second over all runs of the job.', html }];
}

function barSection(title: string, text: string, counts: readonly (readonly [name: string, count: number])[]): Section {
  const bars = counts.map(([name, count]) => [name, count, String(count)] as const);
  return { title, text, html: barChart(text, 'objects', bars) };
}

function classSection(classes: ReadonlyMap<string, number>): Section[] {
  if (classes.size === 0) return [];
  const shown = [...classes].sort(([, a], [, b]) => b - a).slice(0, shownClasses);
  const text =
    classes.size > shown.length ? `The ${shown.length} most frequent of ${classes.size} classes.` : 'Objects found of each class.';
  return [barSection('Classes', text, shown)];
}

function countsSection(job: JobFile, summary: BatchSummary): Section {
  const counts = [
    ['pictures', summary.total],
    ['with a result', summary.done],
    ['failed', summary.failed],
    ['objects found', summary.detections ?? 0],
    ...Object.entries(summary.errors ?? {}),
  ];
  const settings = Object.entries({ weights: job.weights.given, sha256: job.weights.sha256, precision: job.precision, ...job.settings });
  const rows = settings.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
  const html = `${htmlTable({ head: ['', 'count'], rows: counts })}<h3>Settings</h3>${htmlTable({ head: ['', 'value'], rows })}`;
  return { title: 'Counts', html };
}

export async function writeReport(
  file: string,
  job: JobFile,
  summary: BatchSummary,
  tally: Tally,
  timeline: readonly Sample[],
): Promise<void> {
  const bins = tally.scores.map(
    (count, bin) => [`${(bin / scoreBins).toFixed(2)} to ${((bin + 1) / scoreBins).toFixed(2)}`, count] as const,
  );
  const shown = (title: string, text: string, some: readonly Shown[]): Promise<Section[]> => sheet(title, text, some.map(thumbnail));
  const sections = [
    countsSection(job, summary),
    ...rateSection(timeline),
    ...classSection(tally.classes),
    barSection('Scores', `Objects by score, in ${scoreBins} steps.`, bins),
    ...(await shown('Best', 'The surest finds.', tally.best)),
    ...(await shown('Random', 'A fair choice of all pictures.', tally.random.chosen)),
    ...(await shown('None found', 'Pictures in which nothing was found.', tally.none.chosen)),
    ...(await shown('Failed', 'Pictures that have an error instead of a result.', tally.failed.chosen)),
  ];
  const sentence = `${summary.done} of ${summary.total} pictures have a result, ${summary.failed} failed; begun ${job.created}.`;
  await writeText(file, htmlPage('CornerNet batch job', sentence, sections));
}
