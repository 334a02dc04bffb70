// The network's benchmark: latency and throughput by batch, size, precision and views.
import { Detector } from '../detector/detector.js';
import type { DetectionResult, NetworkWork } from '../detector/result.js';
import { paddedSide } from '../detector/padding.js';
import type { Size } from '../images/image.js';
import type { RawImage } from '../images/source.js';
import type { LoadOptions } from '../options/interfaces.js';
import type { Precision } from '../options/values.js';
import type { Timings } from '../detector/timings.js';
import { filled } from './cut.js';
import { watchMachine } from './disturbance.js';
import { describeMachine } from './machine.js';
import { computePeak, measurePeak } from './peaks.js';
import { reportHead, type ModelReport, type ModelResult, type Peak } from './schema.js';
import { median } from './statistics.js';
import { countedCalls, leastWarmUpCalls, measure, type Rule } from './windows.js';

export interface ModelBenchOptions {
  readonly weights: string;
  /** For the report: a path says nothing to others. */
  readonly weightsName: string;
  readonly load: Omit<LoadOptions, 'precision'>;
  readonly precisions: readonly Precision[];
  readonly sizes: readonly Size[];
  readonly views: readonly (1 | 2)[];
  readonly scales?: readonly number[] | undefined;
  readonly batches: readonly number[];
  readonly rule: Rule;
  /** Told of each result as soon as it is there. */
  readonly tell?: (result: ModelResult) => void;
}

const insideTheClock =
  'latency: Detector.detect from the call with decoded RGB pictures in memory to their result objects (copying in, upload, normalising, padding, ' +
  'mirroring, network, corner decoding, soft-NMS, objects; score threshold 0); decoding files is outside. ' +
  'network: the forward alone, by CUDA events on a GPU. Loading, packing weights and warm-up are outside.';

/** A picture of noise, the same for the same seed: what is in it does not change the network's time. */
export function noisePicture({ width, height }: Size, seed: number): RawImage {
  const data = new Uint8Array(width * height * 3);
  let state = seed + 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return { data, width, height, channels: 3 };
}

/** Medians of each stage, and of what none of them has. */
function stagesOf(timings: readonly Timings[]): ModelResult['stages'] {
  const of = (pick: (timing: Timings) => number): number => median(timings.map(pick));
  return {
    prepare: of(({ prepare }) => prepare),
    network: of(({ network }) => network),
    corners: of(({ corners }) => corners),
    nms: of(({ nms }) => nms),
    rest: of((t) => Math.max(0, t.total - t.prepare - t.network - t.corners - t.nms)),
  };
}

export function total(work: readonly NetworkWork[]): { flops: number; bytes: number } {
  return work.reduce((sum, { flops, bytes }) => ({ flops: sum.flops + flops, bytes: sum.bytes + bytes }), { flops: 0, bytes: 0 });
}

interface Configuration extends Size {
  readonly views: 1 | 2;
  readonly batch: number;
}

async function measureOne(
  detector: Detector,
  options: ModelBenchOptions,
  peak: Peak,
  { width, height, views, batch }: Configuration,
): Promise<ModelResult> {
  const pictures = Array.from({ length: batch }, (_, seed) => noisePicture({ width, height }, seed));
  const timings: Timings[] = [];
  const detectOptions = { flip: views === 2, scales: options.scales, timings: true, scoreThreshold: 0 };
  const call = async (): Promise<number> => {
    const begin = performance.now();
    const [first] = (await detector.detect(pictures, detectOptions)) as [DetectionResult];
    const milliseconds = performance.now() - begin;
    timings.push({ ...(first.timings as Timings), total: milliseconds });
    return milliseconds;
  };
  const latency = await measure(call, options.rule, () => watchMachine(detector.device), leastWarmUpCalls(detector.device));
  const stages = stagesOf(countedCalls(latency).map((index) => timings[index] as Timings));
  const { flops, bytes } = total(await detector.work(width, height, views * batch, options.scales));
  const achieved = (1000 * flops) / stages.network;
  return {
    weights: options.weightsName,
    device: detector.device,
    precision: detector.precision,
    threads: detector.threads,
    width,
    height,
    paddedWidth: paddedSide(width),
    paddedHeight: paddedSide(height),
    views,
    ...(options.scales && { scales: [...options.scales] }),
    batch,
    latency,
    picturesPerSecond: (1000 * batch) / latency.summary.p50,
    stages,
    flops,
    bytes,
    achieved,
    ofPeak: achieved / computePeak(peak),
    weightsBytes: detector.memory.weightsBytes,
  };
}

/** @throws {CornerNetError} as `Detector.load` and `detect`; {@link CutShort} for that when something is measured. */
export async function benchModel(options: ModelBenchOptions): Promise<ModelReport> {
  const machine = await describeMachine();
  const peaks: Peak[] = [];
  const results: ModelResult[] = [];
  const method = { insideTheClock, ...options.rule };
  return filled({ ...reportHead(), kind: 'model', machine, method, peaks, results }, async () => {
    for (const precision of options.precisions) {
      await using detector = await Detector.load(options.weights, { ...options.load, precision, batchSize: Math.max(...options.batches) });
      if (peaks.some((known) => known.precision === detector.precision)) continue; // 'auto', which was named as well
      const peak = await measurePeak(detector.device, detector.precision, detector.threads, options.rule.limitSeconds);
      peaks.push(peak);
      for (const size of options.sizes) {
        for (const views of options.views) {
          for (const batch of options.batches) {
            const result = await measureOne(detector, options, peak, { ...size, views, batch });
            results.push(result);
            options.tell?.(result);
          }
        }
      }
    }
  });
}
