// A job's report.html: what was found, how fast, and pictures to judge it by.
import { CornerNetError } from '../errors.js';
import { sourceOf } from '../inputs/entry.js';
import { writeText } from '../output-file.js';
import { renderBoxes } from '../render/boxes.js';
import { chart, escapeHtml, htmlPage, htmlTable, type Section } from '../report/page.js';
import type { JobFile } from './job.js';
import type { Sample } from './meter.js';
import type { BatchSummary } from './summary.js';
import { scoreBins, type Shown, type Tally } from './tally.js';

const thumbnailPx = 360;
/** Pixels of a picture that the sheet still opens; the detector has had its own limit. */
const sheetMaxPixels = 100_000_000;
const shownClasses = 30;

async function picture({ entry, outcome }: Shown): Promise<string> {
  if ('error' in outcome) {
    return `<figure><figcaption>${escapeHtml(outcome.image)}<br>${escapeHtml(`${outcome.error.code}: ${outcome.error.message}`)}</figcaption></figure>`;
  }
  const caption = `${outcome.image}: ${outcome.detections.length === 0 ? 'nothing' : `${outcome.detections.length} found`}`;
  try {
    const drawing = await renderBoxes(await sourceOf(entry), outcome.detections, sheetMaxPixels, thumbnailPx);
    const data = (await drawing.toBuffer()).toString('base64');
    return `<figure><img alt="${escapeHtml(caption)}" src="data:image/jpeg;base64,${data}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
  } catch (error) {
    if (!(error instanceof CornerNetError)) throw error;
    return `<figure><figcaption>${escapeHtml(`${caption} (it can't be shown any more: ${error.message})`)}</figcaption></figure>`;
  }
}

async function sheet(title: string, text: string, shown: readonly Shown[]): Promise<Section[]> {
  if (shown.length === 0) return [];
  const figures: string[] = [];
  for (const one of shown) figures.push(await picture(one));
  return [{ title, text, html: `<div class="sheet">${figures.join('\n')}</div>` }];
}

function rateSection(samples: readonly Sample[]): Section[] {
  const points: [number, number][] = [];
  let elapsed = 0;
  samples.forEach((sample, i) => {
    const before = samples[i - 1];
    if (!before || sample.start === true) return; // between two runs no time counts
    const seconds = (sample.time - before.time) / 1000;
    const ended = sample.done + sample.failed - before.done - before.failed;
    if (seconds <= 0) return;
    points.push([elapsed, ended / seconds], [elapsed + seconds, ended / seconds]);
    elapsed += seconds;
  });
  if (points.length === 0) return [];
  const option = {
    xAxis: { type: 'value' as const, name: 'seconds of work', nameLocation: 'middle' as const, nameGap: 28 },
    yAxis: { type: 'value' as const, name: 'pictures/s' },
    series: [{ type: 'line' as const, showSymbol: false, areaStyle: { opacity: 0.15 }, data: points }],
  };
  return [
    {
      title: 'Rate',
      text: 'Pictures a second over all runs of the job.',
      html: chart(option, 'pictures a second over time', { height: 260 }),
    },
  ];
}

function barSection(title: string, text: string, names: readonly string[], counts: readonly number[]): Section {
  const option = {
    xAxis: { type: 'category' as const, data: [...names], axisLabel: { interval: 0, rotate: names.length > 12 ? 45 : 0 } },
    yAxis: { type: 'value' as const, name: 'objects' },
    grid: { bottom: names.length > 12 ? 90 : 40 },
    series: [{ type: 'bar' as const, data: [...counts] }],
  };
  return { title, text, html: chart(option, text) };
}

function classSection(classes: ReadonlyMap<string, number>): Section[] {
  const sorted = [...classes].sort(([, a], [, b]) => b - a);
  if (sorted.length === 0) return [];
  const shown = sorted.slice(0, shownClasses);
  const text =
    sorted.length > shown.length ? `The ${shown.length} most frequent of ${sorted.length} classes.` : 'Objects found of each class.';
  const names = shown.map(([name]) => name);
  const counts = shown.map(([, count]) => count);
  return [barSection('Classes', text, names, counts)];
}

function countsSection(job: JobFile, summary: BatchSummary): Section {
  const rows: (string | number)[][] = [
    ['pictures', summary.total],
    ['with a result', summary.done],
    ['failed', summary.failed],
    ['objects found', summary.detections ?? 0],
    ...Object.entries(summary.errors ?? {}).map(([code, count]) => [code, count]),
  ];
  const settings = Object.entries({ weights: job.weights.given, sha256: job.weights.sha256, precision: job.precision, ...job.settings });
  const html = `${htmlTable(['', 'count'], rows)}<h3>Settings</h3>${htmlTable(
    ['', 'value'],
    settings.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )}`;
  return { title: 'Counts', html };
}

export async function writeReport(
  file: string,
  job: JobFile,
  summary: BatchSummary,
  tally: Tally,
  timeline: readonly Sample[],
): Promise<void> {
  const bins = tally.scores.map((_, bin) => (bin / scoreBins).toFixed(2));
  const sections = [
    countsSection(job, summary),
    ...rateSection(timeline),
    ...classSection(tally.classes),
    barSection('Scores', `Objects by score, in ${scoreBins} steps; each bar is named by its lower end.`, bins, tally.scores),
    ...(await sheet('Best', 'The surest finds.', tally.best)),
    ...(await sheet('Random', 'A fair choice of all pictures.', tally.random.chosen)),
    ...(await sheet('None found', 'Pictures in which nothing was found.', tally.none.chosen)),
    ...(await sheet('Failed', 'Pictures that have an error instead of a result.', tally.failed.chosen)),
  ];
  const sentence = `${summary.done} of ${summary.total} pictures have a result, ${summary.failed} failed; begun ${job.created}.`;
  await writeText(file, htmlPage('CornerNet batch job', sentence, sections));
}
