// The whole way's benchmark: files in, JSON lines out, and how busy each stage was on the way.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

import { Detector } from '../detector/detector.js';
import { paddedSide, paddedSize } from '../detector/padding.js';
import type { DetectionResult, FailedResult } from '../detector/result.js';
import { CornerNetError } from '../errors.js';
import type { Size } from '../images/image.js';
import type { LoadOptions } from '../options/interfaces.js';
import type { Timings } from '../detector/timings.js';
import { openResults } from '../writers/open.js';
import type { ResultWriter } from '../writers/writer.js';
import { watchMachine } from './disturbance.js';
import { describeMachine } from './machine.js';
import { noisePicture } from './model.js';
import { measurePeak } from './peaks.js';
import { reportHead, type Disturbance, type PipelineReport, type PipelineResult, type Series, type Window } from './schema.js';
import { clip, covered, spansOf, stages, type Span } from './spans.js';
import { median, summarize } from './statistics.js';
import { leastWarmUpCalls, toSeries, type Rule } from './windows.js';

export interface PipelineBenchOptions {
  readonly files: readonly string[];
  readonly weights: string;
  readonly weightsName: string;
  readonly load: LoadOptions;
  readonly batchSize: number;
  readonly concurrency?: number | undefined;
  /** Default: as the weights were tested. */
  readonly flip?: boolean | undefined;
  readonly rule: Rule;
  readonly tell?: (picturesPerSecond: number) => void;
}

const insideTheClock =
  'throughput: pictures a second from files on disk (in the page cache after the first round) to JSON lines in a file: opening, decoding, turning, ' +
  'copying in, the forward, corner decoding, soft-NMS, objects, JSON, writing. The files are repeated; loading and the first window are outside. ' +
  'network alone: forwards of noise of the same padded sizes and batch, with nothing else running.';

/** So many pictures at least make a window, in batches: their results come in bursts. */
const batchesAWindow = 4;
const picturesOfTimeline = 40;
/** Milliseconds between two looks at the loop, which the histogram counts in. */
export const loopResolution = 10;

interface Ran {
  readonly timings: Timings;
  readonly write: Span;
  readonly size: Size;
}

/** What a run of the pipeline leaves, of the measured time. */
interface PipelineRun {
  readonly pictures: Ran[];
  /** When the errors of those that failed were written. */
  readonly failures: Span[];
  readonly measured: { window: Window; values: number[] }[];
  readonly loop: IntervalHistogram;
  warmUp: number;
  begin: number;
  end: number;
}

/** Cuts the stream of results into windows and says when it stands still. */
class WindowCutter {
  #begin = 0;
  #count = 0;
  #endWatch: (() => Promise<Disturbance>) | undefined;

  constructor(
    private readonly rule: Rule,
    private readonly batch: number,
    private readonly run: PipelineRun,
  ) {}

  /** After each result. Returns whether enough was measured. */
  async advance(device: string): Promise<boolean> {
    const now = performance.now();
    this.#begin ||= now; // the first result only starts the clock: before it lies filling the pipeline
    this.#count++;
    const seconds = (now - this.#begin) / 1000;
    const least = this.#endWatch ? batchesAWindow : Math.max(batchesAWindow, leastWarmUpCalls(device));
    if (seconds < this.rule.windowSeconds || this.#count % this.batch !== 0 || this.#count < least * this.batch) return false;
    if (this.#endWatch) {
      const rate = this.#count / seconds;
      const window = { seconds, median: rate, count: this.#count, disturbance: await this.#endWatch() };
      this.run.measured.push({ window, values: [rate] });
    } else {
      this.run.warmUp = this.#count; // the first window
      this.run.begin = now;
      this.run.pictures.length = 0;
      this.run.failures.length = 0;
      this.run.loop.enable();
    }
    this.run.end = now;
    if (this.#isEnough(now)) return true;
    this.#endWatch = await watchMachine(device);
    this.#begin = performance.now();
    this.#count = 0;
    return false;
  }

  #isEnough(now: number): boolean {
    if (this.run.measured.length === 0) return false;
    const series = toSeries(this.run.measured, this.rule, this.run.warmUp);
    return (series.stable && series.undisturbed) || now - this.run.begin > 1000 * this.rule.limitSeconds;
  }
}

async function writeTimed(writer: ResultWriter, result: DetectionResult | FailedResult): Promise<Span> {
  const begin = performance.now();
  await writer.write(result);
  return { begin, end: performance.now() };
}

async function runPipeline(detector: Detector, options: PipelineBenchOptions, writer: ResultWriter): Promise<PipelineRun> {
  const loop = monitorEventLoopDelay({ resolution: loopResolution });
  const run: PipelineRun = { pictures: [], failures: [], measured: [], loop, warmUp: 0, begin: 0, end: 0 };
  const cutter = new WindowCutter(options.rule, options.batchSize, run);
  const repeated = function* (): Generator<string> {
    for (;;) yield* options.files;
  };
  const { flip, batchSize, concurrency } = options;
  try {
    for await (const result of detector.detectAll(repeated(), { flip, batchSize, concurrency, timings: true })) {
      const write = await writeTimed(writer, result);
      if ('error' in result) {
        run.failures.push(write);
        if (run.failures.length === options.files.length && run.pictures.length === 0) throw result.error; // not one can be read
      } else {
        run.pictures.push({ timings: result.timings as Timings, write, size: result });
        if (await cutter.advance(detector.device)) break;
      }
    }
  } finally {
    loop.disable();
  }
  return run;
}

/** Each stage within the measured time. */
function stageResults({ pictures, begin, end }: PipelineRun): PipelineResult['stages'] {
  const measured = { begin, end };
  return stages.map((stage) => {
    const spans = pictures.map(({ timings, write }) => (stage === 'write' ? write : (spansOf(timings).get(stage) as Span)));
    const inside = spans.map((span) => clip(span, measured)).filter((span) => span !== undefined);
    return {
      stage,
      busy: covered(inside) / (end - begin),
      depth: inside.reduce((sum, span) => sum + span.end - span.begin, 0) / (end - begin),
      milliseconds: summarize(spans.map((span) => span.end - span.begin)),
    };
  });
}

type NamedSpan = readonly [PipelineResult['timeline'][number]['stage'], Span];

function timelineOf({ pictures, failures, begin }: PipelineRun): PipelineResult['timeline'] {
  const ran = pictures.map(({ timings, write }): NamedSpan[] => [...spansOf(timings), ['write', write]]);
  const failed = failures.map((write): NamedSpan[] => [['failed', { begin: write.begin, end: write.begin }], ['write', write]]); // prettier-ignore
  const beginOf = (spans: readonly NamedSpan[]): number => spans[0]?.[1].begin ?? 0;
  const measured = [...ran, ...failed].filter((spans) => beginOf(spans) >= begin);
  const first = measured.sort((a, b) => beginOf(a) - beginOf(b)).slice(0, picturesOfTimeline);
  const origin = beginOf(first[0] ?? []);
  return first.flatMap((spans, picture) =>
    spans.map(([stage, span]) => ({ stage, picture, begin: span.begin - origin, end: span.end - origin })),
  );
}

/** Pictures a second of the network with nothing beside it, over the sizes that were run. */
async function networkAlone(
  detector: Detector,
  { flip, batchSize: batch }: PipelineBenchOptions,
  { pictures }: PipelineRun,
): Promise<number> {
  const bySize = new Map<string, { size: Size; count: number }>();
  for (const { size } of pictures) {
    const key = paddedSize(size);
    bySize.set(key, { size: { width: paddedSide(size.width), height: paddedSide(size.height) }, count: (bySize.get(key)?.count ?? 0) + 1 });
  }
  let milliseconds = 0;
  for (const { size, count } of bySize.values()) {
    const noise = Array.from({ length: batch }, (_, seed) => noisePicture(size, seed));
    const times: number[] = [];
    const warmUp = Math.max(1, leastWarmUpCalls(detector.device));
    for (let call = 0; call < warmUp + 5; call++) {
      const [result] = (await detector.detect(noise, { flip, timings: true, scoreThreshold: 0 })) as [DetectionResult];
      if (call >= warmUp) times.push((result.timings as Timings).network); // the first packs weights for the size
    }
    milliseconds += (count * median(times)) / batch;
  }
  return (1000 * pictures.length) / milliseconds;
}

export function loopDelayOf(histogram: IntervalHistogram): PipelineResult['loopDelay'] {
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - loopResolution);
  return { p50: beyond(histogram.percentile(50)), p99: beyond(histogram.percentile(99)), max: beyond(histogram.max) };
}

function toResult(detector: Detector, options: PipelineBenchOptions, run: PipelineRun, throughput: Series, alone: number): PipelineResult {
  return {
    weights: options.weightsName,
    device: detector.device,
    precision: detector.precision,
    threads: detector.threads,
    batch: options.batchSize,
    concurrency: options.concurrency ?? null,
    views: Math.round(detector.stats.views / detector.stats.pictures), // what was computed
    files: options.files.length,
    pictures: run.pictures.length + run.failures.length,
    failed: run.failures.length,
    seconds: (run.end - run.begin) / 1000,
    throughput,
    networkAlone: alone,
    ofNetworkAlone: throughput.summary.p50 / alone,
    stages: stageResults(run),
    timeline: timelineOf(run),
    loopDelay: loopDelayOf(run.loop),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** @throws {CornerNetError} as `Detector.load`; `ERR_INPUT` when not one file can be read as a picture. */
export async function benchPipeline(options: PipelineBenchOptions): Promise<PipelineReport> {
  const machine = await describeMachine();
  await using detector = await Detector.load(options.weights, options.load);
  const folder = await mkdtemp(join(tmpdir(), 'cornernet-bench-'));
  try {
    const writer = await openResults('jsonl', join(folder, 'results.jsonl'), { classes: [] });
    const run = await runPipeline(detector, options, writer);
    await writer.end();
    const throughput = toSeries(run.measured, options.rule, run.warmUp);
    options.tell?.(throughput.summary.p50);
    const alone = await networkAlone(detector, options, run);
    return {
      ...reportHead(),
      kind: 'pipeline',
      machine,
      method: { insideTheClock, ...options.rule },
      peaks: [await measurePeak(detector.device, detector.precision, detector.threads, options.rule.limitSeconds)],
      results: [toResult(detector, options, run, throughput, alone)],
    };
  } catch (error) {
    throw error instanceof CornerNetError ? error : new CornerNetError('ERR_INTERNAL', String(error), { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
