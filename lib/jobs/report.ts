// A job's report.html: what was found, how fast, and pictures to judge it by.
import { CornerNetError } from '../errors.js';
import { sourceOf, type Entry } from '../inputs/entry.js';
import { writeText } from '../output-file.js';
import { renderBoxes } from '../render/boxes.js';
import { chart, escapeHtml, htmlPage, htmlTable, type Section } from '../report/page.js';
import type { JobFile } from './job.js';
import type { Sample } from './meter.js';
import type { Outcome, ResultRecord } from './outcome.js';
import type { BatchSummary } from './outputs.js';

const sheetLength = 8;
const thumbnailPx = 360;
const scoreBins = 20;
/** Pixels of a picture that the sheet still opens; the detector has had its own limit. */
const sheetMaxPixels = 100_000_000;
const shownClasses = 30;

interface Shown {
  readonly entry: Entry;
  readonly outcome: Outcome;
}

/** A fair choice of a stream, the same for the same stream. */
class Sampler {
  readonly chosen: Shown[] = [];
  #seen = 0;
  #state = 0x2545f491;

  offer(one: Shown): void {
    this.#seen++;
    if (this.chosen.length < sheetLength) {
      this.chosen.push(one);
      return;
    }
    const place = this.#random(this.#seen);
    if (place < sheetLength) this.chosen[place] = one;
  }

  /** 0 to below `limit` (xorshift). */
  #random(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}

function topScore(record: ResultRecord): number {
  return record.detections[0]?.score ?? 0;
}

/** What the report needs of each outcome; holds some pictures' outcomes only. */
export class ReportGatherer {
  readonly errors: Record<string, number> = {};
  readonly classes: Record<string, number> = {};
  readonly scores = new Array<number>(scoreBins).fill(0);
  detections = 0;
  readonly random = new Sampler();
  readonly none = new Sampler();
  readonly failed = new Sampler();
  best: { entry: Entry; outcome: ResultRecord }[] = [];

  add(entry: Entry, outcome: Outcome): void {
    if ('error' in outcome) {
      this.errors[outcome.error.code] = (this.errors[outcome.error.code] ?? 0) + 1;
      this.failed.offer({ entry, outcome });
      return;
    }
    for (const { label, score } of outcome.detections) {
      this.detections++;
      this.classes[label] = (this.classes[label] ?? 0) + 1;
      const bin = Math.min(scoreBins - 1, Math.floor(score * scoreBins));
      this.scores[bin] = (this.scores[bin] ?? 0) + 1;
    }
    if (outcome.detections.length === 0) this.none.offer({ entry, outcome });
    else this.#offerBest(entry, outcome);
    this.random.offer({ entry, outcome });
  }

  #offerBest(entry: Entry, outcome: ResultRecord): void {
    if (this.best.length === sheetLength && topScore(outcome) <= topScore((this.best.at(-1) as { outcome: ResultRecord }).outcome)) return;
    this.best = [...this.best, { entry, outcome }].sort((a, b) => topScore(b.outcome) - topScore(a.outcome)).slice(0, sheetLength);
  }
}

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

function classSection(classes: Readonly<Record<string, number>>): Section[] {
  const sorted = Object.entries(classes).sort(([, a], [, b]) => b - a);
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
  gathered: ReportGatherer,
  timeline: readonly Sample[],
): Promise<void> {
  const bins = gathered.scores.map((_, bin) => (bin / scoreBins).toFixed(2));
  const sections = [
    countsSection(job, summary),
    ...rateSection(timeline),
    ...classSection(gathered.classes),
    barSection('Scores', `Objects by score, in ${scoreBins} steps; each bar is named by its lower end.`, bins, gathered.scores),
    ...(await sheet('Best', 'The surest finds.', gathered.best)),
    ...(await sheet('Random', 'A fair choice of all pictures.', gathered.random.chosen)),
    ...(await sheet('None found', 'Pictures in which nothing was found.', gathered.none.chosen)),
    ...(await sheet('Failed', 'Pictures that have an error instead of a result.', gathered.failed.chosen)),
  ];
  const sentence = `${summary.done} of ${summary.total} pictures have a result, ${summary.failed} failed; begun ${job.created}.`;
  await writeText(file, htmlPage('CornerNet batch job', sentence, sections));
}
