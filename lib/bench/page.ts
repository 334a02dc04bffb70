// The benchmark's page: the tables, and plots of what they say, in one file.
import type { EChartsOption } from 'echarts';

import { chart, htmlPage, htmlTable, type Section } from '../report/page.js';
import { writeText } from '../output-file.js';
import { computePeak, roof } from './peaks.js';
import type { KernelsReport, ModelReport, ModelResult, Peak, PipelineReport, Report } from './schema.js';
import { stages } from './spans.js';
import { percentile, sorted } from './statistics.js';
import { describeReport, resultTable, stageTable } from './tables.js';

type Point = [x: number, y: number];

const axes = { grid: { left: 80, right: 30, top: 60, bottom: 60 }, legend: { top: 8, type: 'plain' as const } };

function axis(name: string, more: object = {}): object {
  return { name, nameLocation: 'middle', nameGap: 34, ...more };
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

const configuration = (r: ModelResult): string => `${r.precision}, ${r.width}x${r.height}, ${r.views === 2 ? 'with flip' : 'one view'}`;

function throughputPlot({ results }: ModelReport): string {
  const batches = [...new Set(results.map(({ batch }) => batch))].sort((a, b) => a - b);
  const series = [...groupBy(results, configuration)].map(([name, group]) => ({
    name,
    type: 'line' as const,
    symbolSize: 8,
    data: group.map((r) => [String(r.batch), r.picturesPerSecond]),
  }));
  const option: EChartsOption = {
    ...axes,
    xAxis: axis('pictures a call', { type: 'category', data: batches.map(String) }),
    yAxis: axis('pictures a second', { nameGap: 50 }),
    series,
  };
  return chart(option, 'Throughput by batch, a line for each size, precision and number of views');
}

/** For the ends of an axis. */
function twoDigits(value: number, round: (value: number) => number): number {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Number((round(value / unit) * unit).toPrecision(2));
}

/** Where each call of a hundred lies: the distribution without bins. */
function latencyPlot({ results }: ModelReport): string {
  const series = results.map((r) => {
    const inOrder = sorted(r.latency.values);
    const data = Array.from({ length: 101 }, (_, i): Point => [percentile(inOrder, i / 100), i]);
    return { name: `${configuration(r)}, batch ${r.batch}`, type: 'line' as const, showSymbol: false, data };
  });
  const all = results.flatMap((r) => r.latency.values);
  const option: EChartsOption = {
    ...axes,
    xAxis: axis('milliseconds a call', {
      type: 'log',
      min: twoDigits(Math.min(...all), Math.floor),
      max: twoDigits(Math.max(...all), Math.ceil),
    }),
    yAxis: axis('% of the calls at most', { nameGap: 50, max: 100 }),
    series,
  };
  return chart(option, 'Latency distribution: the share of the calls that took at most so long');
}

function stagesPlot({ results }: ModelReport): string {
  const names = ['prepare', 'network', 'corners', 'nms', 'rest'] as const;
  const option: EChartsOption = {
    ...axes,
    grid: { ...axes.grid, left: 260 },
    xAxis: axis('% of a call', { max: 100 }),
    yAxis: { type: 'category', inverse: true, data: results.map((r) => `${configuration(r)}, batch ${r.batch}`) },
    series: names.map((name) => ({
      name,
      type: 'bar' as const,
      stack: 'call',
      data: results.map(({ stages: times }) => (100 * times[name]) / Object.values(times).reduce((sum, time) => sum + time, 0)),
    })),
  };
  return chart(option, 'Where a call goes, by stage', { height: 140 + 30 * results.length });
}

interface Placed {
  readonly group: string;
  readonly name: string;
  readonly flops: number;
  readonly bytes: number;
  readonly achieved: number;
}

/** The lines that nothing can be above, and every measured thing below them. */
function rooflinePlot(peaks: readonly Peak[], placed: readonly Placed[]): string {
  const intensities = placed.map(({ flops, bytes }) => flops / bytes);
  const [least, most] = [Math.min(...intensities, 0.1), Math.max(...intensities, 1000)];
  const lines = peaks.map((peak) => {
    const ridge = computePeak(peak) / peak.copy;
    const data = [least, ridge, Math.max(most, ridge)].map((at): Point => [at, roof(peak, at, 1) / 1e9]);
    return { name: `${peak.precision} roof`, type: 'line' as const, showSymbol: false, lineStyle: { width: 2 }, data };
  });
  const points = [...groupBy(placed, ({ group }) => group)].map(([name, group]) => ({
    name,
    type: 'scatter' as const,
    symbolSize: 8,
    data: group.map((one) => ({ name: one.name, value: [one.flops / one.bytes, one.achieved / 1e9] satisfies Point })),
  }));
  const option: EChartsOption = {
    ...axes,
    xAxis: axis('FLOP a byte', { type: 'log', min: least, max: most }),
    yAxis: axis('GFLOP/s', { type: 'log', nameGap: 50 }),
    series: [...lines, ...points],
  };
  return chart(option, 'Roofline: operations a second by operations a byte, below the measured compute peak and copy bandwidth', {
    height: 480,
  });
}

function modelSections(report: ModelReport): Section[] {
  const placed = report.results.map((r) => ({ ...r, group: `${r.precision} network`, name: configuration(r) }));
  return [
    { title: 'Throughput', html: throughputPlot(report) },
    { title: 'Latency', html: latencyPlot(report) },
    { title: 'Stages', text: 'Medians; rest: copying in, handing over, objects.', html: stagesPlot(report) },
    { title: 'Roofline', text: 'The network as a whole.', html: rooflinePlot(report.peaks, placed) },
  ];
}

function speedUpPlot({ results }: KernelsReport): string {
  const option: EChartsOption = {
    ...axes,
    grid: { ...axes.grid, left: 360 },
    xAxis: axis('times as fast as ATen', { type: 'log', min: 0.5 }),
    yAxis: {
      type: 'category',
      inverse: true,
      axisLabel: { fontSize: 10 },
      data: results.map((r) => `${r.precision} ${r.name}, ${r.shape}`),
    },
    series: [
      { name: 'back to back', type: 'scatter', data: results.map((r) => r.aten.backToBack.p50 / r.ours.backToBack.p50) },
      { name: 'cold', type: 'scatter', data: results.map((r) => r.aten.cold.p50 / r.ours.cold.p50) },
    ],
  };
  return chart(option, 'Each operator against the ATen composition it replaces', { height: 140 + 16 * results.length });
}

function kernelsSections(report: KernelsReport): Section[] {
  const placed = report.results.flatMap((r) => [
    { ...r, group: `${r.precision} ${r.op}` },
    { ...r, group: `${r.precision} ${r.op}, cold`, achieved: r.flops / r.ours.cold.p50 },
  ]);
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
    .map((stage) => ({
      name: stage,
      type: 'line' as const,
      showSymbol: false,
      lineStyle: { width: 7, cap: 'butt' as const },
      // A line a span; null breaks it.
      data: spans
        .filter((span) => span.stage === stage)
        .flatMap(({ picture, begin, end }) => [
          [begin, picture],
          [end, picture],
          [null, null],
        ]) as Point[],
    }));
  const option: EChartsOption = {
    ...axes,
    xAxis: axis('milliseconds'),
    yAxis: axis('picture', { inverse: true, nameGap: 50, minInterval: 1 }),
    series,
  };
  return chart(option, 'Stage timeline: when each picture was in which stage', { height: 560 });
}

function occupancyPlot({ results }: PipelineReport): string {
  const option: EChartsOption = {
    ...axes,
    xAxis: { type: 'category', data: [...stages] },
    yAxis: axis('% of the time busy', { nameGap: 50, max: 100 }),
    series: results.map((r) => ({ name: r.precision, type: 'bar' as const, data: r.stages.map(({ busy }) => 100 * busy) })),
  };
  return chart(option, 'Occupancy of each stage');
}

function pipelineSections(report: PipelineReport): Section[] {
  const [result] = report.results;
  const table = result && stageTable(result);
  return [
    {
      title: 'Occupancy',
      text: 'Busy: at least one picture was in the stage.',
      html: `${occupancyPlot(report)}${table ? htmlTable(table.head, table.rows) : ''}`,
    },
    { title: 'Timeline', text: 'The first pictures after warming up.', html: timelinePlot(report) },
  ];
}

function sectionsOf(report: Report): Section[] {
  if (report.kind === 'model') return modelSections(report);
  return report.kind === 'kernels' ? kernelsSections(report) : pipelineSections(report);
}

/** @throws {CornerNetError} `ERR_INPUT` when the file can't be written. */
export async function writeReportPage(file: string, report: Report): Promise<void> {
  const { head, rows } = resultTable(report);
  const lines = describeReport(report);
  const method = htmlTable(
    ['machine and method'],
    lines.map((line) => [line]),
  );
  const sections = [
    { title: 'Results', html: htmlTable(head, rows) },
    ...sectionsOf(report),
    { title: 'How it was measured', html: method },
  ];
  await writeText(file, htmlPage(`cornernet bench ${report.kind}`, lines.slice(0, 2).join('. '), sections));
}
