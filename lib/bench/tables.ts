// The benchmark's results as tables for people: rows for the terminal and for the page alike.
import { textTable } from '../text-table.js';
import type { Change, Comparison } from './compare.js';
import {
  shownViews,
  type KernelResult,
  type ModelResult,
  type PipelineResult,
  type Report,
  type Series,
  type TrainResult,
  type TurnsReport,
} from './schema.js';
import { median, relativeSpread } from './statistics.js';
import { countedWindows, doubtsOf } from './windows.js';

interface ResultTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const teras = (perSecond: number): string => (perSecond / 1e12).toFixed(2);
export const percent = (fraction: number): string => `${(100 * fraction).toFixed(0)}%`;

/** Three digits that matter. */
export function short(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value > 0 && value < 0.01) return value.toPrecision(2);
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
}

/** What is to be known before believing a figure. */
export function remarks(series: Series): string {
  const { undisturbed, windows } = series;
  const leftOut = windows.length - countedWindows(series).length;
  const notes = doubtsOf(series);
  if (undisturbed && leftOut > 0) notes.push(`${leftOut} of ${windows.length} windows left out`);
  return notes.join(', ');
}

function modelTable(results: readonly ModelResult[]): ResultTable {
  return {
    head: [
      ...['size', 'padded', 'prec', 'views', 'batch', 'p50 ms', 'p90', 'p95', 'p99', 'mean', '±'],
      ...['pic/s', 'network ms', 'TFLOP/s', 'of peak', 'remarks'],
    ],
    rows: results.map((r) => [
      `${r.width}x${r.height}`,
      `${r.paddedWidth}x${r.paddedHeight}`,
      r.precision,
      shownViews(r),
      String(r.batch),
      ...(['p50', 'p90', 'p95', 'p99', 'mean', 'deviation'] as const).map((name) => short(r.latency.summary[name])),
      short(r.picturesPerSecond),
      short(r.stages.network),
      teras(r.achieved),
      percent(r.ofPeak),
      remarks(r.latency),
    ]),
  };
}

function kernelsTable(results: readonly KernelResult[]): ResultTable {
  const micros = (seconds: number): string => short(1e6 * seconds);
  return {
    head: [
      ...['operator', 'input', 'prec', 'calls', 'ours us', 'cold us', 'ATen us', 'vs ATen'],
      ...['TFLOP/s', 'GB/s', 'of roof', 'of copy', 'remarks'],
    ],
    rows: results.map((r) => [
      r.name,
      r.shape,
      r.precision,
      String(r.calls),
      micros(r.ours.backToBack.p50),
      micros(r.ours.cold.p50),
      micros(r.aten.backToBack.p50),
      `${(r.aten.backToBack.p50 / r.ours.backToBack.p50).toFixed(1)}x`,
      teras(r.achieved),
      (r.bandwidth / 1e9).toFixed(1),
      percent(r.ofRoof),
      percent(r.copy.backToBack.p50 / r.ours.backToBack.p50),
      r.disturbed.join(', '),
    ]),
  };
}

/** A row a stage. */
function stageTable({ stages }: PipelineResult): ResultTable {
  return {
    head: ['stage', 'busy', 'pictures in it', 'p50 ms', 'p90', 'p99'],
    rows: stages.map(({ stage, busy, depth, milliseconds }) => [
      stage,
      percent(busy),
      short(depth),
      ...[milliseconds.p50, milliseconds.p90, milliseconds.p99].map(short),
    ]),
  };
}

function pipelineTable(results: readonly PipelineResult[]): ResultTable {
  return {
    head: ['files', 'pictures', 'failed', 'prec', 'views', 'batch', 'pic/s', 'network alone', 'of it', 'loop p99 ms', 'peak MB', 'remarks'],
    rows: results.map((r) => [
      String(r.files),
      String(r.pictures),
      String(r.failed),
      r.precision,
      String(r.views),
      String(r.batch),
      short(r.throughput.summary.p50),
      short(r.networkAlone),
      percent(r.ofNetworkAlone),
      short(r.loopDelay.p99),
      (r.peakMemoryBytes / 1e6).toFixed(0),
      remarks(r.throughput),
    ]),
  };
}

function trainTable(results: readonly TrainResult[]): ResultTable {
  return {
    head: ['network', 'px', 'batch', 'prec', 'recompute', 'step ms', 'p90', '±', 'pic/s', 'peak MB', 'remarks'],
    rows: results.map((r) => [
      r.network,
      String(r.size),
      String(r.batch),
      r.precision,
      r.recompute ? 'yes' : 'no',
      ...(['p50', 'p90', 'deviation'] as const).map((name) => short(r.step.summary[name])),
      short(r.picturesPerSecond),
      (r.peakMemoryBytes / 1e6).toFixed(0),
      remarks(r.step),
    ]),
  };
}

/** A row a candidate, a column for all that any of them told. */
function turnsTable({ results }: TurnsReport): ResultTable {
  const figures = [...new Set(results.flatMap((r) => Object.keys(r.figures)))];
  const heads = figures.map((name) => name.replace(/Bytes$/, ' MB').replace(/Seconds$/, ' s').replace(/\B[A-Z](?=[a-z])/g, (letter) => ` ${letter.toLowerCase()}`)); // prettier-ignore
  return {
    head: ['case', 'candidate', 's', '±', ...heads, 'remarks'],
    rows: results.map((r) => [
      r.case,
      r.candidate,
      short(r.seconds.summary.p50),
      percent(relativeSpread(r.seconds.values) / 2),
      ...figures.map((name) => {
        const values = r.figures[name];
        const value = median(values ?? []) / (name.endsWith('Bytes') ? 1e6 : 1);
        return values === undefined ? '' : Number.isInteger(value) ? String(value) : short(value);
      }),
      remarks(r.seconds),
    ]),
  };
}

function ratioTable({ ratios }: TurnsReport): ResultTable {
  return {
    head: ['case', '', 'of', 'against', 'times', 'goal', ''],
    rows: ratios.map(({ case: name, what, ours, peer, ratio, goal, met }) => [
      name,
      what,
      ours,
      peer,
      ratio === null ? 'not measured' : short(ratio),
      goal === null ? '' : `${what === 'speed' ? 'at least' : 'at most'} ${goal}`,
      met === null ? '' : met ? 'met' : 'missed',
    ]),
  };
}

export function resultTable(report: Report): ResultTable {
  if (report.kind === 'model') return modelTable(report.results);
  if (report.kind === 'kernels') return kernelsTable(report.results);
  if (report.kind === 'train') return trainTable(report.results);
  return report.kind === 'pipeline' ? pipelineTable(report.results) : turnsTable(report);
}

/** What stands below the results. */
export function furtherTables(report: Report): ResultTable[] {
  if (report.kind === 'pipeline') return report.results.map(stageTable);
  if (!('ratios' in report)) return [];
  const missing = report.missing.map((one) => [one.case, one.candidate, one.reason]);
  return [ratioTable(report), { head: ['case', 'not measured', 'because'], rows: missing }].filter(({ rows }) => rows.length > 0);
}

/** What changed, the biggest changes first. */
export function comparisonTable({ changes }: Comparison): ResultTable {
  const rank = ({ ratio }: Change): number => -Math.abs(Math.log(ratio ?? 1));
  return {
    head: ['', 'before', 'after', 'unit', 'speed', 'noise', '', 'remarks'],
    rows: [...changes]
      .sort((a, b) => rank(a) - rank(b))
      .map(({ name, unit, before, after, ratio, noise, judgement, doubt }) => [
        name,
        before === null ? '' : short(before),
        after === null ? '' : short(after),
        unit,
        ratio === null ? '' : `${ratio.toFixed(2)}x`,
        noise === null ? '' : `±${percent(noise)}`,
        judgement,
        doubt,
      ]),
  };
}

/** For the terminal. */
export function drawTable({ head, rows }: ResultTable): string {
  return textTable(head, rows, true);
}

/** What was measured, in lines. */
function subjects(report: Report): string[] {
  if (report.kind === 'train') return report.results.map(({ network, device, threads }) => `${network} on ${device}, ${threads} threads`);
  if (!('ratios' in report)) return report.results.map(({ weights, device, threads }) => `${weights} on ${device}, ${threads} threads`);
  const settings = report.results.map((r) => `${r.case}: ${r.setting}`);
  return [...settings, ...report.results.flatMap(({ candidate, version }) => (version === null ? [] : [`${candidate}: ${version}`]))];
}

function describeMethod({ method }: Report): string {
  if ('rounds' in method)
    return `Rounds in each of which every candidate has its turn: ${method.rounds}, and more where some were disturbed.`;
  if (method.stableWithin === null)
    return `At least five rounds and ${method.limitSeconds} s for each operator and shape, the candidates in turns.`;
  return `Windows of ${method.windowSeconds} s until the last three agree within ${percent(method.stableWithin)}, at most ${method.limitSeconds} s each.`;
}

/** The machine and the method in lines. */
export function describeReport(report: Report): string[] {
  const { machine, method, peaks, date } = report;
  const mhz = machine.cpuMhz === null ? 'clock unknown' : `${Math.round(Math.max(...machine.cpuMhz))} MHz`;
  const gpus = machine.gpus.map((gpu) => {
    const clock = gpu.clockMhz === null ? '' : `, ${gpu.clockMhz} of ${gpu.maxClockMhz ?? '?'} MHz`;
    return `${gpu.name}, driver ${gpu.driver}${clock}, clocks ${gpu.clocks}`;
  });
  const memory = machine.memoryBytes === null ? [] : [`${(machine.memoryBytes / 1e9).toFixed(0)} GB`];
  return [
    `${date.slice(0, 16).replace('T', ' ')} UTC; cornernet ${machine.cornernet}, Node ${machine.node}, LibTorch ${machine.libtorch}${machine.cuda === null ? '' : `, CUDA ${machine.cuda}`}, Linux ${machine.kernel}`,
    [
      machine.cpu,
      `${machine.cores} cores`,
      mhz,
      `clocks ${machine.cpuClocks}`,
      ...machine.cpuFeatures,
      ...memory,
      `load ${machine.load[0]?.toFixed(1) ?? '?'}`,
    ].join(', '),
    ...gpus,
    ...new Set(subjects(report)),
    ...peaks.map(
      (peak) =>
        `${peak.device} ${peak.precision}, ${peak.threads} threads: matmul peak ${teras(peak.matmul)} TFLOP/s (${peak.matmulSide} wide), convolution peak ${peak.conv === null ? 'not measured' : teras(peak.conv)}, copy ${(peak.copy / 1e9).toFixed(1)} GB/s (${(peak.copyBytes / 2 ** 20).toFixed(0)} MiB)${peak.disturbed?.length ? `; disturbed: ${peak.disturbed.join(', ')}` : ''}`,
    ),
    describeMethod(report),
    `Inside the clock: ${method.insideTheClock}`,
  ];
}
