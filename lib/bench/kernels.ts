// The operators' benchmark: each over the network's real shapes, verified before it is timed, against ATen's composition and a copy.
import type { NetworkWork } from '../detector/result.js';
import { fromNative } from '../errors.js';
import type { Size } from '../images/image.js';
import { loadNative, type NativeBenchReport, type NativeBenchSetting } from '../native.js';
import { filled } from './cut.js';
import { undisturbed } from './disturbance.js';
import { describeMachine } from './machine.js';
import { measurePeak, roof } from './peaks.js';
import { reportHead, type FixedPrecision, type KernelResult, type KernelsReport, type Peak } from './schema.js';
import { summarize } from './statistics.js';

export interface KernelsBenchOptions {
  readonly device: string;
  /** 0: the cores this process may use. */
  readonly threads: number;
  readonly precisions: readonly FixedPrecision[];
  readonly sizes: readonly Size[];
  /** In one forward: pictures times views. */
  readonly views: number;
  /** For each operator and shape. */
  readonly seconds: number;
  /** 'conv', 'pool_pair', 'upsample_add'; empty for all. */
  readonly operators: readonly NetworkWork['op'][];
  readonly tell?: (result: KernelResult) => void;
}

const insideTheClock =
  'one call of an operator on tensors in the device’s memory, channels-last, the result’s allocation included; by CUDA events on a GPU. ' +
  'Shapes: those of HourglassNet-104 with the last head level, each once. Before timing, the result is held against what ' +
  'ATen gives in fp32 (convolutions within the rounding of their products and of the result; the others bit for bit; int8 within one step of 8 bits, ' +
  'beside ATen on the numbers that the bytes stand for). ' +
  'ours, aten and copy (of as many bytes) take turns in every round; cold: single calls after as many bytes as stated were written elsewhere. ' +
  'FLOPs: additions, multiplications and comparisons; bytes: every input read once, the result written once.';

/** Equal calls are one, with their number. */
export function distinct(work: readonly NetworkWork[]): { work: NetworkWork; calls: number }[] {
  const byShape = new Map<string, { work: NetworkWork; calls: number }>();
  for (const one of work) {
    const key = JSON.stringify(one);
    byShape.set(key, { work: one, calls: (byShape.get(key)?.calls ?? 0) + 1 });
  }
  return [...byShape.values()];
}

/** 'conv 3x3/2 256 to 384 +relu'. */
export function nameOf({ op, kernel, stride, inChannels, outChannels, residual, relu }: NetworkWork): string {
  if (op !== 'conv') return `${op} ${inChannels}`;
  const extras = `${residual ? ' +add' : ''}${relu ? ' +relu' : ''}`;
  return `conv ${kernel}x${kernel}${stride > 1 ? `/${stride}` : ''} ${inChannels} to ${outChannels}${extras}`;
}

function timesOf(report: NativeBenchReport, name: 'ours' | 'aten' | 'copy'): KernelResult['ours'] {
  const candidate = report.candidates.find((one) => one.name === name);
  return { backToBack: summarize(candidate?.backToBack ?? []), cold: summarize(candidate?.cold ?? []) };
}

async function measureOne(work: NetworkWork, calls: number, setting: NativeBenchSetting, peak: Peak): Promise<KernelResult> {
  const { measured: report, reasons } = await undisturbed(peak.device, () => fromNative(loadNative().benchOperator({ ...work }, setting)));
  const ours = timesOf(report, 'ours');
  const achieved = work.flops / ours.backToBack.p50;
  return {
    weights: 'hourglass104',
    device: peak.device,
    precision: peak.precision,
    threads: peak.threads,
    name: nameOf(work),
    shape: `${work.n}x${work.inChannels}x${work.height}x${work.width}`,
    op: work.op,
    calls,
    flops: work.flops,
    bytes: work.bytes,
    ours,
    aten: timesOf(report, 'aten'),
    copy: timesOf(report, 'copy'),
    achieved,
    bandwidth: work.bytes / ours.backToBack.p50,
    ofRoof: achieved / roof(peak, work.flops, work.bytes),
    largestError: report.largestError,
    coldBytes: report.coldBytes,
    disturbed: reasons,
  };
}

/** @throws {CornerNetError} `ERR_DEVICE`; `ERR_INTERNAL` when an operator computes something else than ATen; {@link CutShort} for that when something is measured. */
export async function benchKernels(options: KernelsBenchOptions): Promise<KernelsReport> {
  const native = loadNative();
  const machine = await describeMachine();
  const threads = options.threads || machine.cores;
  const peaks: Peak[] = [];
  const results: KernelResult[] = [];
  const method = { insideTheClock, windowSeconds: options.seconds, stableWithin: null, limitSeconds: options.seconds };
  return filled({ ...reportHead(), kind: 'kernels', machine, method, peaks, results }, async () => {
    for (const precision of options.precisions) {
      const peak = await measurePeak(options.device, precision, threads, options.seconds);
      peaks.push(peak);
      const setting = { device: options.device, precision, threads, seconds: options.seconds };
      const work = options.sizes.flatMap((size) => native.networkWork({ ...size, views: options.views, precision }));
      for (const { work: one, calls } of distinct(work)) {
        if (precision === 'int8' && !one.int8) continue; // what stays wide is measured in that type
        if (options.operators.length > 0 && !options.operators.includes(one.op)) continue;
        const result = await measureOne(one, calls, setting, peak);
        results.push(result);
        options.tell?.(result);
      }
    }
  });
}
