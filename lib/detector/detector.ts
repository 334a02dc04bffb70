// The detector: weights on one or several devices, asked for the objects in pictures.
import { setMaxListeners } from 'node:events';

import { abortable } from '../abort.js';
import { areCocoClasses } from '../coco/categories.js';
import '../dispose.js';
import { CornerNetError } from '../errors.js';
import { decodeImage, type Picture } from '../images/image.js';
import { eachOf, withoutCrash, type ImageSource } from '../images/source.js';
import type { NativeTimings } from '../native.js';
import { checkDetectAllOptions, checkDetectOptions, checkHeadsOptions } from '../options/check.js';
import type { DetectAllOptions, DetectOptions, LoadOptions } from '../options/interfaces.js';
import type { Abortable, ChosenPrecision } from '../options/values.js';
import { defaultWeights } from '../weights/weights.js';
import { loadDetectors, type Loaded } from './load.js';

import { Batches, BatchRequest } from './batches.js';
import type { Heads } from './heads.js';
import { Pipeline, type PipelineLimits, type PipelineStages } from './pipeline.js';
import { sizeWarning, toDetections, type DetectionResult, type DetectorStats, type FailedResult, type NetworkWork } from './result.js';
import { callSettings, type CallSettings } from './settings.js';
import { cropped, joined, type Tiling } from './tiles.js';
import { timingsOf } from './timings.js';

const usualBatch = { cpu: 1, cuda: 8 } as const;
/** Batches decoded ahead of each device: on CUDA enough that sizes which take turns, as in COCO, fill batches too. Their bytes have a bound of their own. */
const batchesAhead = { cpu: 2, cuda: 8 } as const;
/** More pictures in a forward make it no faster. How many of them fit into memory, the device's own side measures. */
const mostInABatch = { cpu: 8, cuda: 32 } as const;

interface TileFound {
  /** As the addon gives them; undefined where the network's maps were not finite. */
  readonly values: Float32Array | undefined;
  readonly timings: NativeTimings | undefined;
}

interface DetectRun extends Pick<PipelineLimits, 'concurrency'> {
  readonly batchSize: number;
  readonly signal: AbortSignal | undefined;
  /** The first picture that fails ends the whole with its error; this hears of it before. */
  readonly onFailed?: (failed: FailedResult, index: number) => void;
}

/**
 * CornerNet with its weights on a device.
 *
 * @example
 * ```ts
 * await using detector = await Detector.load('digits');
 * const { detections } = await detector.detect('scan.jpg');
 * for (const { label, score, box } of detections) console.log(label, score, box);
 * ```
 */
export class Detector implements AsyncDisposable {
  readonly #loaded: Loaded;
  readonly #batches: Batches<TileFound>;
  #closing: Promise<void> | undefined;
  #sizeWarning: string | undefined;
  #mapsWarning: string | undefined;

  private constructor(loaded: Loaded) {
    this.#loaded = loaded;
    this.#batches = new Batches(async (tiles, options, signal) => {
      const pixels = tiles.map(({ picture, tile }) => cropped(picture, tile));
      const { detections, notFinite, timings } = await loaded.replicas.detect(pixels, options, signal);
      return detections.map((values, i) => ({ values: notFinite.includes(i) ? undefined : values, timings: timings[i] }));
    }, loaded.replicas.infos.length);
  }

  /**
   * Loads weights: an id that `cornernet weights list` shows, or the path of an mmdetection `.pth`.
   * Nothing in the file is executed.
   * @param weights default: the small digits checkpoint that comes with the package.
   * @throws {CornerNetError} `ERR_OPTION`, `ERR_WEIGHTS` (no such file, or not fetched), `ERR_INPUT` (it can't be read), `ERR_CHECKPOINT`,
   * `ERR_DEVICE`, `ERR_OUT_OF_MEMORY`, `ERR_NOT_BUILT`, `ERR_LIBTORCH`.
   */
  static async load(weights: string = defaultWeights(), options: LoadOptions & Abortable = {}): Promise<Detector> {
    return new Detector(await loadDetectors(weights, options));
  }

  /** Where it runs: 'cpu', 'cuda:0'; replicas are joined by commas. */
  get device(): string {
    return this.#loaded.replicas.infos.map((info) => info.device).join(',');
  }

  /** 'fp32', 'bf16', 'fp16' or 'int8'. */
  get precision(): ChosenPrecision {
    return this.#loaded.info.precision;
  }

  /** Names by class id. */
  get classes(): readonly string[] {
    return this.#loaded.classes;
  }

  /** Whether the classes are COCO's 80 in COCO's order, whose category ids have gaps. */
  get isCoco(): boolean {
    return areCocoClasses(this.classes);
  }

  /** CPU threads of the network, for each replica. */
  get threads(): number {
    return this.#loaded.info.threads;
  }

  /** Bytes that the prepared weights take, over all replicas. */
  get memory(): { readonly weightsBytes: number } {
    const { weightsBytes } = this.#loaded.replicas.stats;
    return { weightsBytes };
  }

  /** Pictures that `detectAll` takes ahead of the network unless it is told otherwise. */
  get concurrency(): number {
    return this.#concurrency(this.#batchSize());
  }

  get stats(): DetectorStats {
    const { replicas } = this.#loaded;
    const warnings = [...replicas.warnings, ...[this.#sizeWarning, this.#mapsWarning].filter((warning) => warning !== undefined)];
    const { pictures, forwards, views } = replicas.stats;
    return { pictures, forwards, views, warnings, failedDevices: replicas.failedDevices };
  }

  /**
   * Finds the objects in one picture, or in several that may have any sizes: those whose padded sizes agree share a forward. So do those of calls
   * that wait while the device is busy, when their options agree; what is found in a picture depends on nothing but that picture, beyond
   * fp32's rounding. An idle device begins at once.
   * @throws {CornerNetError} `ERR_INPUT`, `ERR_TOO_LARGE`, `ERR_OPTION`, `ERR_OUT_OF_MEMORY`, `ERR_CLOSED`, `ERR_CHECKPOINT` (the network computes
   * infinities or NaN); an abort rejects with the signal's reason.
   */
  detect(image: ImageSource, options?: DetectOptions & Abortable): Promise<DetectionResult>;
  detect(images: readonly ImageSource[], options?: DetectOptions & Abortable): Promise<DetectionResult[]>;
  async detect(
    images: ImageSource | readonly ImageSource[],
    options: DetectOptions & Abortable = {},
  ): Promise<DetectionResult | DetectionResult[]> {
    const { signal, ...changes } = checkDetectOptions(options);
    const settings = this.#settings(changes);
    const several = Array.isArray(images);
    const sources = several ? [...(images as readonly ImageSource[])] : [images as ImageSource];
    const wanted = this.#batchSize(this.#loaded.options.batchSize ?? 'auto');
    // Whoever gives several pictures at once means them to share forwards. One shares its own with other calls' that wait for the device as it does.
    const batchSize = several ? Math.max(mostInABatch[this.#kind], wanted) : wanted;
    const results: DetectionResult[] = [];
    const failures: (FailedResult & { index: number })[] = [];
    const onFailed: DetectRun['onFailed'] = (failed, index) => failures.push({ ...failed, index });
    const limits = { batchSize, concurrency: this.#concurrency(batchSize), signal, onFailed };
    try {
      for await (const result of this.#run(sources.map(withoutCrash)[Symbol.iterator](), settings, limits))
        results.push(result as DetectionResult);
    } catch (error) {
      const failed = failures.find((failure) => failure.error === error);
      if (!failed) throw error;
      const place = several ? `picture ${failed.index + 1} of ${sources.length}${failed.image === null ? '' : ` (${failed.image})`}: ` : '';
      throw new CornerNetError(failed.error.code, place + failed.error.message, { cause: error }); // with the caller's stack
    }
    return several ? results : (results[0] as DetectionResult);
  }

  /**
   * Finds the objects in many pictures. Decoding runs ahead of the network with bounded memory; results come in order;
   * a picture that fails yields `{ image, error }` and the others go on. Leaving the loop stops the work.
   *
   * @example
   * ```ts
   * for await (const result of detector.detectAll(paths)) {
   *   if ('error' in result) console.error(result.image, result.error.code);
   *   else console.log(result.image, result.detections.length);
   * }
   * ```
   */
  async *detectAll(
    images: (Iterable<ImageSource> | AsyncIterable<ImageSource>) & object,
    options: DetectAllOptions = {},
  ): AsyncGenerator<DetectionResult | FailedResult, void, void> {
    const { signal, concurrency = 0, batchSize: chosen, ...changes } = checkDetectAllOptions(options);
    const settings = this.#settings(changes);
    const batchSize = this.#batchSize(chosen);
    const atLeast = concurrency === 0 ? this.#concurrency(batchSize) : batchSize * this.#loaded.replicas.infos.length;
    yield* this.#run(eachOf(images), settings, { batchSize, concurrency: Math.max(concurrency, atLeast), signal });
  }

  /**
   * The last level's heatmap logits, embeddings and offsets of the plain (not mirrored) picture, as a whole: `tiles` cut nothing here.
   * @throws {CornerNetError} as `detect`.
   */
  async heads(
    image: ImageSource,
    options: Abortable & Pick<DetectOptions, 'maxPixels' | 'timeout' | 'maxSide' | 'scale' | 'numerics'> = {},
  ): Promise<Heads> {
    const { signal, ...changes } = checkHeadsOptions(options);
    const { maxPixels, timeout, scaling, native } = this.#settings(changes);
    const picture = await abortable(signal, () => decodeImage(image, maxPixels, { ...scaling, timeout, signal }));
    const heads = await this.#loaded.replicas.heads(picture, native, signal);
    return { ...heads, width: picture.width, height: picture.height };
  }

  /**
   * What the network has to do for `views` views (two a picture with `flip`) of a picture of this size at each of the scales: operations and bytes
   * by operator, counted along the network's own definition.
   * @throws {CornerNetError} `ERR_OPTION`, `ERR_CLOSED`.
   */
  work(width: number, height: number, views = 1, scales: readonly number[] = [1]): Promise<NetworkWork[]> {
    return this.#loaded.replicas.work({ width, height, views, scales });
  }

  /** Refuses new calls, drops waiting ones (`ERR_CLOSED`), waits for the running one and frees the device's memory. Call it as often as you like. */
  close(): Promise<void> {
    return (this.#closing ??= this.#loaded.replicas.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #kind(): 'cpu' | 'cuda' {
    return this.#loaded.info.device === 'cpu' ? 'cpu' : 'cuda';
  }

  #batchSize(chosen = this.#loaded.options.batchSize): number {
    return chosen === 'auto' ? mostInABatch[this.#kind] : (chosen ?? usualBatch[this.#kind]);
  }

  /** Enough to decode on every core, and for a batch on each device with the next ones ready. */
  #concurrency(batchSize: number): number {
    return Math.max(2 * this.threads, batchesAhead[this.#kind] * batchSize * this.#loaded.replicas.infos.length);
  }

  #settings(changes: DetectOptions): CallSettings {
    if (this.#closing) throw new CornerNetError('ERR_CLOSED', 'the detector is closed');
    return callSettings(this.#loaded, changes);
  }

  /** The one way of pictures through the network, be they few or many. */
  async *#run(
    sources: Iterator<ImageSource> | AsyncIterator<ImageSource>,
    settings: CallSettings,
    { signal, onFailed, concurrency, batchSize }: DetectRun,
  ): AsyncGenerator<DetectionResult | FailedResult, void, void> {
    signal?.throwIfAborted();
    const aborter = new AbortController();
    try {
      setMaxListeners(0, aborter.signal); // every picture and call under way listens
    } catch {
      // A browser's in the place of Node's, as under jsdom, which counts none.
    }
    const { maxPixels, scaling, timeout } = settings;
    const stages: PipelineStages<TileFound, DetectionResult | FailedResult> = {
      decode: (source, hold) => decodeImage(source, maxPixels, { ...scaling, timeout, hold, signal: aborter.signal }),
      finish: (picture, tiling, found) => this.#finish(picture, tiling, found, settings, aborter.signal),
      failed: (image, error, index) => {
        const failed = { image, error };
        if (onFailed) {
          onFailed(failed, index);
          pipeline.stop(error);
        }
        return failed;
      },
    };
    const request = new BatchRequest(settings.ofTiles, batchSize);
    const pipeline = new Pipeline(sources, stages, this.#batches, { concurrency, request, tiles: settings.tiles });
    const abort = (): void => pipeline.stop(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      yield* pipeline.results();
    } finally {
      signal?.removeEventListener('abort', abort);
      aborter.abort(new CornerNetError('ERR_CLOSED', 'the loop over the results was left'));
    }
  }

  /** Never an empty list: it would say that nothing is there. */
  #refuseMaps(): never {
    const advice =
      this.precision === 'fp32'
        ? 'the weights are damaged, or not made for such pictures'
        : `the weights may be beyond ${this.precision}: try precision 'fp32'`;
    const sentence = `the network computed numbers that are not finite; ${advice}`;
    this.#mapsWarning ??= `at least one picture failed: ${sentence}`;
    throw new CornerNetError('ERR_CHECKPOINT', sentence);
  }

  async #finish(
    picture: Picture,
    tiling: Tiling,
    found: readonly TileFound[],
    { native, tiles }: CallSettings,
    signal: AbortSignal,
  ): Promise<DetectionResult> {
    const lists = found.map(({ values }) => values ?? this.#refuseMaps());
    const whole = tiles ? this.#loaded.replicas.mergeDetections(joined(tiling, lists), native, signal) : lists[0];
    const detections = toDetections((await whole) ?? new Float32Array(), this.classes, picture);
    this.#sizeWarning ??= sizeWarning(picture.name, tiling.tiles[0] ?? picture, this.#loaded.weights.entry?.trainedSide);
    const timings = found.flatMap((tile) => tile.timings ?? []);
    const result = { image: picture.name, ...picture.original, detections };
    return timings.length > 0 ? { ...result, timings: timingsOf(picture, timings) } : result;
  }
}
