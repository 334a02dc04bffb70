// The benchmark's page: the tables, and plots of what they say, in one file.
import { groupBy } from '../group-by.js';
import { barChart, chart, type Point, type PlotSeries } from '../report/chart.js';
import { htmlPage, htmlTable, type Section } from '../report/page.js';
import { writeText } from '../output-file.js';
import { computePeak, roof } from './peaks.js';
import {
  trainName,
  type KernelsReport,
  type ModelReport,
  type ModelResult,
  type Peak,
  type PipelineReport,
  type Report,
  type Series,
  type TrainReport,
  type TurnsReport,
} from './schema.js';
import { stages } from './spans.js';
import { percentile, sorted } from './statistics.js';
import { describeReport, percent, remarks, furtherTables, resultTable, short } from './tables.js';

/** A remark, where there is one. */
function doubt(reasons: string): { remark?: string } {
  return reasons === '' ? {} : { remark: reasons };
}

const configuration = (r: ModelResult): string =>
  [
    r.precision,
    `${r.width}x${r.height}`,
    r.views === 2 ? 'with flip' : 'one view',
    ...(r.scales ? [`scales ${r.scales.join(' ')}`] : []),
  ].join(', ');
const withBatch = (r: ModelResult): string => `${configuration(r)}, batch ${r.batch}`;

function throughputPlot({ results }: ModelReport): string {
  const series = [...groupBy(results, configuration)].map(([name, group]): PlotSeries => ({
    name,
    mark: 'line and dots',
    points: group.map((r) => ({ x: r.batch, y: r.picturesPerSecond, ...doubt(remarks(r.latency)) })),
  }));
  return chart({
    label: 'Throughput by batch, a line for each size, precision and number of views',
    x: { name: 'pictures a call', scale: 'log', ticks: [...new Set(results.map(({ batch }) => batch))] },
    y: { name: 'pictures a second' },
    series,
  });
}

/** Where each call of a hundred lies: the distribution without bins. */
function latencyPlot({ results }: ModelReport): string {
  const series = results.map((r): PlotSeries => {
    const inOrder = sorted(r.latency.values);
    const points = Array.from({ length: 101 }, (_, i): Point => ({ x: percentile(inOrder, i / 100), y: i }));
    points.push({ ...(points[100] as Point), ...doubt(remarks(r.latency)) });
    return { name: withBatch(r), mark: 'line', points };
  });
  return chart({
    label: 'Latency distribution: the share of the calls that took at most so long',
    x: { name: 'milliseconds a call', scale: 'log' },
    y: { name: '% of the calls at most', holds: [100] },
    series,
  });
}

/** What each window measured, also those that the figures leave out. */
function windowsSection(measured: readonly (readonly [name: string, Series])[], unit: string): Section {
  const series = measured.map(([name, { windows }]): PlotSeries => {
    let seconds = 0;
    const points = windows.map((window): Point => {
      seconds += window.seconds;
      return { x: seconds, y: window.median, ...doubt(window.disturbance.reasons.join(', ')) };
    });
    return { name, mark: 'line and dots', points };
  });
  const label = "Windows: each one's median, in the order in which they were measured";
  return {
    title: 'Windows',
    text: "Each window's median. Those with a cross were disturbed: the figures leave them out unless all were.",
    html: chart({ label, x: { name: 'seconds measured' }, y: { name: unit, scale: 'log' }, series }),
  };
}

function stagesPlot({ results }: ModelReport): string {
  const names = ['prepare', 'network', 'corners', 'nms', 'rest'] as const;
  const begins = results.map(() => 0);
  const series = names.map((name): PlotSeries => ({
    name,
    mark: 'bars',
    points: results.map((r, y) => {
      const from = begins[y] ?? 0;
      const x = Math.min(100, from + (100 * r.stages[name]) / Object.values(r.stages).reduce((sum, time) => sum + time, 0));
      begins[y] = x;
      return { x, y, from, title: `${name}, ${short(r.stages[name])} ms`, ...(name === 'rest' && doubt(remarks(r.latency))) };
    }),
  }));
  return chart({
    label: 'Where a call goes, by stage',
    x: { name: '% of a call', holds: [100] },
    y: { rows: results.map(withBatch) },
    series,
  });
}

interface Placed {
  readonly group: string;
  readonly name: string;
  readonly flops: number;
  readonly bytes: number;
  readonly achieved: number;
  readonly doubts: string;
}

/** The lines that nothing can be above, and every measured thing below them. */
function rooflinePlot(peaks: readonly Peak[], placed: readonly Placed[]): string {
  const [least, most] = placed.reduce(
    ([low, high], { flops, bytes }) => [Math.min(low, flops / bytes), Math.max(high, flops / bytes)],
    [0.1, 1000],
  );
  const lines = peaks.map((peak): PlotSeries => {
    const ridge = computePeak(peak) / peak.copy;
    const points = [least, ridge, Math.max(most, ridge)].map((x, i): Point => ({
      x,
      y: roof(peak, x, 1) / 1e9,
      ...(i === 1 && doubt(peak.disturbed?.join(', ') ?? '')),
    }));
    return { name: `${peak.precision} roof`, mark: 'line', points };
  });
  const dots = [...groupBy(placed, ({ group }) => group)].map(([name, group]): PlotSeries => ({
    name,
    mark: 'dots',
    points: group.map((one) => ({ x: one.flops / one.bytes, y: one.achieved / 1e9, title: one.name, ...doubt(one.doubts) })),
  }));
  return chart({
    label: 'Roofline: operations a second by operations a byte, below the measured compute peak and copy bandwidth',
    x: { name: 'FLOP a byte', scale: 'log' },
    y: { name: 'GFLOP/s', scale: 'log' },
    series: [...lines, ...dots],
  });
}

function modelSections(report: ModelReport): Section[] {
  const { results, peaks } = report;
  const placed = results.map((r) => ({ ...r, group: `${r.precision} network`, name: withBatch(r), doubts: remarks(r.latency) }));
  const measured = results.map((r) => [withBatch(r), r.latency] as const);
  return [
    { title: 'Throughput', html: throughputPlot(report) },
    { title: 'Latency', html: latencyPlot(report) },
    windowsSection(measured, 'milliseconds a call'),
    { title: 'Stages', text: 'Medians; rest: copying in, handing over, objects.', html: stagesPlot(report) },
    { title: 'Roofline', text: 'The network as a whole.', html: rooflinePlot(peaks, placed) },
  ];
}

function speedUpPlot({ results }: KernelsReport): string {
  const series = (['backToBack', 'cold'] as const).map((kind): PlotSeries => ({
    name: kind === 'cold' ? 'cold' : 'back to back',
    mark: 'dots',
    points: results.map((r, y) => ({ x: r.aten[kind].p50 / r.ours[kind].p50, y, ...doubt(r.disturbed.join(', ')) })),
  }));
  return chart({
    label: 'Each operator against the ATen composition it replaces',
    x: { name: 'times as fast as ATen', scale: 'log', rule: 1 },
    y: { rows: results.map((r) => `${r.precision} ${r.name}, ${r.shape}`) },
    series,
  });
}

function kernelsSections(report: KernelsReport): Section[] {
  const placed = report.results.flatMap((r) => {
    const one = { ...r, name: `${r.name}, ${r.shape}`, doubts: r.disturbed.join(', '), group: `${r.precision} ${r.op}` };
    return [one, { ...one, group: `${one.group}, cold`, achieved: r.flops / r.ours.cold.p50 }];
  });
  const text =
    'Every operator of the network. The slanted line is what memory gives: back to back, small operators are above it, for the caches hold their data.';
  return [
    { title: 'Roofline', text, html: rooflinePlot(report.peaks, placed) },
    { title: 'Against ATen', html: speedUpPlot(report) },
  ];
}

function timelinePlot({ results }: PipelineReport): string {
  const spans = results.flatMap((result) => result.timeline);
  const series = stages
    .filter((stage) => stage !== 'wait')
    .map((stage): PlotSeries => ({
      name: stage,
      mark: 'bars',
      points: spans.filter((span) => span.stage === stage).map(({ picture, begin, end }) => ({ x: end, y: picture, from: begin })),
    }));
  const failed = spans.filter(({ stage }) => stage === 'failed').map(({ picture, end }) => ({ x: end, y: picture, remark: 'failed' }));
  const pictures = new Set(spans.map(({ picture }) => picture)).size;
  return chart({
    label: 'Stage timeline: when each picture was in which stage',
    x: { name: 'milliseconds' },
    y: { rows: Array.from({ length: pictures }, (_, picture) => `picture ${picture + 1}`) },
    series: failed.length === 0 ? series : [...series, { name: 'failed', mark: 'dots', points: failed }],
  });
}

function pipelineSections(report: PipelineReport): Section[] {
  const { results } = report;
  const bars = results.flatMap((r) => r.stages.map(({ stage, busy }) => [`${r.precision} ${stage}`, 100 * busy, percent(busy)] as const));
  const occupancy = barChart('Occupancy of each stage', '% of the time busy', bars) + furtherTables(report).map(htmlTable).join('');
  const measured = results.map((r) => [r.precision, r.throughput] as const);
  return [
    { title: 'Occupancy', text: 'Busy: at least one picture was in the stage.', html: occupancy },
    windowsSection(measured, 'pictures a second'),
    { title: 'Timeline', text: 'The first pictures after warming up; where nothing is drawn, they waited.', html: timelinePlot(report) },
  ];
}

function trainSections({ results }: TrainReport): Section[] {
  const bars = (label: string, unit: string, of: (r: TrainReport['results'][number]) => number): string => {
    const named = results.map((r) => [trainName(r), of(r), short(of(r))] as const);
    return barChart(label, unit, named);
  };
  const measured = results.map((r) => [trainName(r), r.step] as const);
  return [
    { title: 'Steps', html: bars('The median of each configuration’s steps', 'milliseconds', (r) => r.step.summary.p50) },
    { title: 'Memory', html: bars('The most memory of each', 'MB', (r) => r.peakMemoryBytes / 1e6) },
    windowsSection(measured, 'milliseconds a step'),
  ];
}

function turnsSections(report: TurnsReport): Section[] {
  const named = report.results.map((r) => [`${r.case}, ${r.candidate}`, r.seconds] as const);
  const bars = named.map(([name, { summary }]) => [name, summary.p50, short(summary.p50)] as const);
  const seconds = barChart('The median of each candidate’s turns', 'seconds', bars);
  return [{ title: 'Turns', html: seconds + furtherTables(report).map(htmlTable).join('') }, windowsSection(named, 'seconds a turn')];
}

function sectionsOf(report: Report): Section[] {
  if (report.kind === 'model') return modelSections(report);
  if (report.kind === 'kernels') return kernelsSections(report);
  if (report.kind === 'train') return trainSections(report);
  return report.kind === 'pipeline' ? pipelineSections(report) : turnsSections(report);
}

/** @throws {CornerNetError} `ERR_WRITE` when the file can't be written. */
export async function writeReportPage(file: string, report: Report): Promise<void> {
  const lines = describeReport(report);
  const sections = [
    { title: 'Results', html: htmlTable(resultTable(report)) },
    ...sectionsOf(report),
    { title: 'How it was measured', html: htmlTable({ head: ['machine and method'], rows: lines.map((line) => [line]) }) },
  ];
  await writeText(file, htmlPage(`cornernet bench ${report.kind}`, lines.slice(0, 2).join('. '), sections));
}
