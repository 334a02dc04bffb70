// What got faster or slower between two reports, beyond the noise of both.
import { CornerNetError } from '../errors.js';
import {
  shownViews,
  trainName,
  type KernelResult,
  type ModelResult,
  type PipelineResult,
  type Report,
  type Series,
  type Summary,
  type TrainResult,
  type TurnsResult,
} from './schema.js';
import { median, relativeSpread } from './statistics.js';
import { countedWindows, doubtsOf } from './windows.js';

type Judgement = 'faster' | 'slower' | 'same' | 'only before' | 'only after';

export interface Change {
  /** What was measured, the same words in both reports. */
  readonly name: string;
  readonly unit: string;
  readonly before: number | null;
  readonly after: number | null;
  /** Speed after by speed before: above 1 is faster. */
  readonly ratio: number | null;
  /** Fraction by which speeds must differ to count. */
  readonly noise: number | null;
  readonly judgement: Judgement;
  /** Why it may say nothing; empty for no reason. */
  readonly doubt: string;
}

export interface Comparison {
  /** What else differs between the reports; figures of different machines say nothing about the software. */
  readonly warnings: readonly string[];
  readonly changes: readonly Change[];
}

/** A figure with its noise. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly biggerIsBetter: boolean;
  /** Half the width, as a fraction, of where it may as well have been. */
  readonly noise: number;
  /** Why it may say nothing; empty for no reason. */
  readonly doubt: string;
}

/** Below it nothing is called a change, however quiet the windows: two starts of one program differ by as much. */
export const leastChange = 0.02;

/** The noise is half the spread of the windows' medians, of those that count. */
function surenessOf(series: Series): Pick<Figure, 'noise' | 'doubt'> {
  return { noise: relativeSpread(countedWindows(series).map(({ median }) => median)) / 2, doubt: doubtsOf(series).join(', ') };
}

/** How far the ninetieth of a hundred rounds lies from the middle one. */
function noiseOfRounds({ p50, p90 }: Summary): number {
  return (p90 - p50) / p50;
}

function modelFigures(r: ModelResult): Figure[] {
  const name = `${r.weights} ${r.device} ${r.precision} ${r.threads} threads ${r.width}x${r.height} views ${shownViews(r)} batch ${r.batch}`;
  return [{ name, unit: 'ms', value: r.latency.summary.p50, biggerIsBetter: false, ...surenessOf(r.latency) }];
}

function kernelFigures(r: KernelResult): Figure[] {
  const name = `${r.device} ${r.precision} ${r.threads} threads ${r.name} ${r.shape}`;
  const figure = (kind: string, summary: Summary): Figure => ({
    name: `${name}, ${kind}`,
    unit: 'us',
    value: 1e6 * summary.p50,
    biggerIsBetter: false,
    noise: noiseOfRounds(summary),
    doubt: r.disturbed.length > 0 ? 'disturbed' : '',
  });
  return [figure('back to back', r.ours.backToBack), figure('cold', r.ours.cold)];
}

function pipelineFigures(r: PipelineResult): Figure[] {
  const name = `${r.weights} ${r.device} ${r.precision} ${r.threads} threads ${r.files} files views ${r.views} batch ${r.batch} concurrency ${r.concurrency ?? 'default'}`;
  return [{ name, unit: 'pictures/s', value: r.throughput.summary.p50, biggerIsBetter: true, ...surenessOf(r.throughput) }];
}

function trainFigures(r: TrainResult): Figure[] {
  const name = `${r.device} ${r.threads} threads ${trainName(r)}`;
  const smaller = { biggerIsBetter: false };
  return [
    { name: `${name}, step`, unit: 'ms', value: r.step.summary.p50, ...smaller, ...surenessOf(r.step) },
    { name: `${name}, memory`, unit: 'bytes', value: r.peakMemoryBytes, ...smaller, noise: 0, doubt: '' },
  ];
}

function turnsFigures(r: TurnsResult): Figure[] {
  const name = `${r.case} (${r.setting}), ${r.candidate}`;
  const smaller = { biggerIsBetter: false };
  const sureness = surenessOf(r.seconds);
  const further = Object.entries(r.figures).flatMap(([figure, values]): Figure[] => {
    const unit = /(Seconds|Bytes)$/.exec(figure)?.[0].toLowerCase();
    if (unit === undefined) return [];
    const doubt = unit === 'seconds' ? sureness.doubt : '';
    return [{ name: `${name}, ${figure}`, unit, value: median(values), ...smaller, noise: relativeSpread(values) / 2, doubt }];
  });
  return [{ name, unit: 'seconds', value: r.seconds.summary.p50, ...smaller, ...sureness }, ...further];
}

function figuresOf(report: Report): Figure[] {
  if (report.kind === 'model') return report.results.flatMap(modelFigures);
  if (report.kind === 'kernels') return report.results.flatMap(kernelFigures);
  if (report.kind === 'train') return report.results.flatMap(trainFigures);
  return report.kind === 'pipeline' ? report.results.flatMap(pipelineFigures) : report.results.flatMap(turnsFigures);
}

/** Two figures of one name. */
export function judge(before: Figure, after: Figure): Change {
  const ratio = before.biggerIsBetter ? after.value / before.value : before.value / after.value;
  const noise = Math.max(leastChange, before.noise + after.noise);
  const judgement = ratio > 1 + noise ? 'faster' : ratio < 1 / (1 + noise) ? 'slower' : 'same';
  const doubts = [before.doubt && `${before.doubt} before`, after.doubt && `${after.doubt} after`];
  const doubt = doubts.filter((one) => one !== '').join('; ');
  return { name: before.name, unit: before.unit, before: before.value, after: after.value, ratio, noise, judgement, doubt };
}

function warningsOf(before: Report, after: Report): string[] {
  const facts = ({ machine, method }: Report): Record<string, string> => ({
    CPU: machine.cpu,
    'CPU features': machine.cpuFeatures.join(', ') || 'none',
    cores: String(machine.cores),
    memory: machine.memoryBytes === null ? 'unknown' : `${(machine.memoryBytes / 1e9).toFixed(0)} GB`,
    GPUs: machine.gpus.map(({ name, driver, clocks }) => `${name}, driver ${driver}, clocks ${clocks}`).join('; ') || 'none',
    LibTorch: machine.libtorch,
    CUDA: machine.cuda ?? 'none',
    Node: machine.node,
    ...('rounds' in method
      ? { rounds: String(method.rounds) }
      : { window: `${method.windowSeconds} s`, duration: `${method.limitSeconds} s` }),
  });
  const [ours, theirs] = [facts(before), facts(after)];
  return Object.keys(ours)
    .filter((fact) => ours[fact] !== theirs[fact])
    .map((fact) => `${fact}: ${ours[fact] ?? ''} before, ${theirs[fact] ?? ''} after`);
}

/** Of a figure that one report alone has. */
const alone = { before: null, after: null, ratio: null, noise: null } as const;

/** @throws {CornerNetError} `ERR_INPUT` when the reports are of different kinds. */
export function compareReports(before: Report, after: Report): Comparison {
  if (before.kind !== after.kind) {
    throw new CornerNetError(
      'ERR_INPUT',
      `one report is of bench ${before.kind}, the other of bench ${after.kind}: they can't be compared`,
    );
  }
  const later = figuresOf(after);
  const changes = figuresOf(before).map((figure): Change => {
    const place = later.findIndex(({ name }) => name === figure.name); // the first: what was measured twice is paired in its order
    const [other] = place < 0 ? [] : later.splice(place, 1);
    return other ? judge(figure, other) : { ...figure, ...alone, before: figure.value, judgement: 'only before' };
  });
  const added = later.map((figure): Change => ({ ...figure, ...alone, after: figure.value, judgement: 'only after' }));
  return { warnings: warningsOf(before, after), changes: [...changes, ...added] };
}
