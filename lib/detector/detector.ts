// The detector: weights on one or several devices, asked for the objects in pictures.
import { abortable } from '../abort.js';
import { areCocoClasses, cocoClasses } from '../coco/categories.js';
import { CornerNetError, fromNative } from '../errors.js';
import { decodeImage, imageName, type ImageSource } from '../images/image.js';
import {
  loadNative,
  type NativeAddon,
  type NativeDetectOptions,
  type NativeHeads,
  type NativeInfo,
  type NativePicture,
  type NativeSettings,
} from '../native.js';
import { checkDetectAllOptions, checkDetectOptions, checkLoadOptions, resolveClasses } from '../options/check.js';
import type { DetectAllOptions, DetectOptions, LoadOptions } from '../options/interfaces.js';
import { defaultMaxPixels, type Abortable, type Device } from '../options/values.js';
import { Pipeline } from './pipeline.js';
import { Replicas } from './replicas.js';
import type { Detection, DetectionResult, DetectorStats, FailedResult, Heads, NetworkWork } from './result.js';
import { timingsOf, type Decoded } from './timings.js';
import { defaultWeights, resolveWeights, type ResolvedWeights } from '../weights/weights.js';

interface Loaded {
  readonly replicas: Replicas;
  readonly weights: ResolvedWeights;
  readonly options: LoadOptions;
  readonly classes: readonly string[];
}

const floatsADetection = 6;
const usualBatch = { cpu: 1, cuda: 8 } as const;
/** More pictures in a forward make it no faster. How many of them fit into memory, the device's own side measures. */
const mostInABatch = { cpu: 8, cuda: 32 } as const;

function classNames(info: NativeInfo, chosen: readonly string[] | undefined): readonly string[] {
  if (chosen && chosen.length !== info.numClasses) {
    throw new CornerNetError(
      'ERR_OPTION',
      `option classNames has ${chosen.length} names, but the weights detect ${info.numClasses} classes`,
    );
  }
  const names = chosen ?? info.classes;
  if (names.length === info.numClasses) return [...names];
  if (info.numClasses === cocoClasses.length) return [...cocoClasses];
  return Array.from({ length: info.numClasses }, (_, id) => `class${id}`);
}

/** 'cuda:*' spelt out. */
function everyCuda(native: NativeAddon): Device[] {
  const usable = native.buildInfo().devices.flatMap(({ hasCode }, index): Device[] => (hasCode ? [`cuda:${index}`] : []));
  if (usable.length === 0) throw new CornerNetError('ERR_DEVICE', "device 'cuda:*' asks for every usable CUDA device, but there is none");
  return usable;
}

/** `changes` over `base`; keys that are undefined change nothing. */
function merge<T extends object>(base: T, changes: Partial<T>): T {
  return { ...base, ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) };
}

function toDetections(values: Float32Array, classes: readonly string[]): Detection[] {
  const detections: Detection[] = [];
  for (let i = 0; i < values.length; i += floatsADetection) {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, score = 0, classId = 0] = values.subarray(i, i + floatsADetection);
    detections.push({ label: classes[classId] ?? `class${classId}`, classId, score, box: [x1, y1, x2, y2] });
  }
  return detections;
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
  /** When the pictures under way were taken and decoded. */
  readonly #decoded = new WeakMap<NativePicture, Decoded>();
  #closing: Promise<void> | undefined;

  private constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  /**
   * Loads weights: an id that `cornernet weights list` shows, or the path of an mmdetection `.pth`.
   * Nothing in the file is executed.
   * @param weights default: the small digits checkpoint that comes with the package.
   * @throws {CornerNetError} `ERR_OPTION`, `ERR_INPUT` (no such file), `ERR_CHECKPOINT`, `ERR_DEVICE`, `ERR_OUT_OF_MEMORY`, `ERR_NOT_BUILT`, `ERR_LIBTORCH`.
   */
  static async load(weights: string = defaultWeights(), options: LoadOptions & Abortable = {}): Promise<Detector> {
    const { signal, ...checked } = checkLoadOptions(options);
    if (typeof weights !== 'string') throw new CornerNetError('ERR_OPTION', 'weights must be an id or a path');
    signal?.throwIfAborted();
    const resolved = resolveWeights(weights);
    const native = loadNative();
    const wanted = typeof checked.device === 'object' ? checked.device : [checked.device ?? 'auto'];
    const devices = wanted.flatMap((device) => (device === 'cuda:*' ? everyCuda(native) : [device]));
    const cpus = devices.filter((device) => device === 'cpu' || device === 'auto').length;
    const { precision = 'auto', tf32 = false, deterministic = false, cudaGraphs = true } = checked;
    const threads = checked.threads ?? Math.max(1, Math.floor(native.buildInfo().cores / Math.max(1, cpus)));
    const detectors = devices.map(() => new native.Detector());
    const closeAll = (): Promise<unknown> => Promise.all(detectors.map((detector) => detector.close()));
    try {
      const infos = await abortable(signal, () =>
        fromNative(
          Promise.all(
            detectors.map((detector, i) =>
              detector.load({ path: resolved.path, device: devices[i] ?? 'auto', precision, threads, tf32, deterministic, cudaGraphs }),
            ),
          ),
        ),
      );
      const first = infos[0] as NativeInfo;
      const replicas = new Replicas(infos.map((info, i) => ({ info, native: detectors[i] as (typeof detectors)[number] })));
      const classes = classNames(first, checked.classNames);
      if (checked.classes) resolveClasses(checked.classes, classes);
      return new Detector({ replicas, weights: resolved, options: checked, classes });
    } catch (error) {
      void closeAll(); // after an abort the load itself takes its time
      throw error;
    }
  }

  /** Where it runs: 'cpu', 'cuda:0'; replicas are joined by commas. */
  get device(): string {
    return this.#loaded.replicas.infos.map((info) => info.device).join(',');
  }

  /** 'fp32', 'bf16' or 'fp16'. */
  get precision(): 'fp32' | 'bf16' | 'fp16' {
    return this.#info.precision;
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
    return this.#info.threads;
  }

  /** Bytes that the prepared weights take, over all replicas. */
  get memory(): { readonly weightsBytes: number } {
    return this.#loaded.replicas.sum((native) => native.memory());
  }

  /** Pictures that `detectAll` takes ahead of the network unless it is told otherwise. */
  get concurrency(): number {
    return this.#concurrency(this.#batchSize());
  }

  get stats(): DetectorStats {
    const { replicas } = this.#loaded;
    return { ...replicas.sum((native) => native.stats()), warnings: replicas.warnings };
  }

  /**
   * Finds the objects in one picture, or in several that may have any sizes: those whose padded sizes agree share a forward.
   * @throws {CornerNetError} `ERR_INPUT`, `ERR_TOO_LARGE`, `ERR_OPTION`, `ERR_OUT_OF_MEMORY`, `ERR_CLOSED`; an abort rejects with the signal's reason.
   */
  detect(image: ImageSource, options?: DetectOptions & Abortable): Promise<DetectionResult>;
  detect(images: readonly ImageSource[], options?: DetectOptions & Abortable): Promise<DetectionResult[]>;
  async detect(
    images: ImageSource | readonly ImageSource[],
    options: DetectOptions & Abortable = {},
  ): Promise<DetectionResult | DetectionResult[]> {
    const { signal, ...changes } = checkDetectOptions(options);
    const native = this.#nativeOptions(changes);
    const maxPixels = this.#maxPixels(changes);
    const sources: readonly ImageSource[] = Array.isArray(images) ? (images as readonly ImageSource[]) : [images as ImageSource];
    const decode = (): Promise<NativePicture[]> => Promise.all(sources.map((source) => this.#decode(source, maxPixels)));
    const pictures = await abortable(signal, decode);
    const results = sources.length === 0 ? [] : await this.#detectPictures(sources, pictures, native, signal);
    return Array.isArray(images) ? results : (results[0] as DetectionResult);
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
    images: Iterable<ImageSource> | AsyncIterable<ImageSource>,
    options: DetectAllOptions = {},
  ): AsyncGenerator<DetectionResult | FailedResult, void, void> {
    const { signal, concurrency, batchSize: chosenBatch, ...changes } = checkDetectAllOptions(options);
    signal?.throwIfAborted();
    const native = this.#nativeOptions(changes);
    const maxPixels = this.#maxPixels(changes);
    const devices = this.#loaded.replicas.infos.length;
    const batchSize = this.#batchSize(chosenBatch);
    const aborter = new AbortController();
    const pipeline = new Pipeline<DetectionResult | FailedResult>(
      images,
      {
        decode: (source) => this.#decode(source, maxPixels),
        detect: (sources, pictures) => this.#detectPictures(sources, pictures, native, aborter.signal),
        failed: (source, error) => ({ image: imageName(source), error }),
      },
      {
        batchSize,
        concurrency: concurrency === undefined ? this.#concurrency(batchSize) : Math.max(concurrency, batchSize * devices),
        devices,
      },
    );
    const abort = (): void => pipeline.stop(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      yield* pipeline.results();
    } finally {
      signal?.removeEventListener('abort', abort);
      aborter.abort(new CornerNetError('ERR_CLOSED', 'the loop over the results was left'));
    }
  }

  /**
   * The last level's heatmap logits, embeddings and offsets of the plain (not mirrored) picture.
   * @throws {CornerNetError} as `detect`.
   */
  async heads(image: ImageSource, options: Abortable & Pick<DetectOptions, 'maxPixels'> = {}): Promise<Heads> {
    const { signal, ...changes } = checkDetectOptions(options);
    const { settings } = this.#nativeOptions(changes);
    const picture = await abortable(signal, () => decodeImage(image, this.#maxPixels(changes)));
    const heads: NativeHeads = await this.#loaded.replicas.heads(picture, settings, signal);
    return heads;
  }

  /**
   * What the network has to do for `views` views (two a picture with `flip`) of a picture of this size: operations and bytes by operator, counted
   * along the network's own definition.
   * @throws {CornerNetError} `ERR_OPTION`, `ERR_CLOSED`.
   */
  work(width: number, height: number, views = 1): Promise<NetworkWork[]> {
    return this.#loaded.replicas.work({ width, height, views });
  }

  /** Refuses new calls, drops waiting ones (`ERR_CLOSED`), waits for the running one and frees the device's memory. Call it as often as you like. */
  close(): Promise<void> {
    return (this.#closing ??= this.#loaded.replicas.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #info(): NativeInfo {
    return this.#loaded.replicas.infos[0] as NativeInfo;
  }

  #batchSize(chosen = this.#loaded.options.batchSize): number {
    const kind = this.#info.device === 'cpu' ? 'cpu' : 'cuda';
    return chosen === 'auto' ? mostInABatch[kind] : (chosen ?? usualBatch[kind]);
  }

  /** Enough to decode on every core, and for a batch on each device with the next one ready. */
  #concurrency(batchSize: number): number {
    return Math.max(2 * this.#info.threads, 2 * batchSize * this.#loaded.replicas.infos.length);
  }

  #maxPixels(changes: DetectOptions): number {
    return changes.maxPixels ?? this.#loaded.options.maxPixels ?? defaultMaxPixels;
  }

  async #decode(source: ImageSource, maxPixels: number): Promise<NativePicture> {
    const start = performance.now();
    const picture = await decodeImage(source, maxPixels);
    this.#decoded.set(picture, { start, end: performance.now() });
    return picture;
  }

  async #detectPictures(
    sources: readonly ImageSource[],
    pictures: NativePicture[],
    options: NativeDetectOptions,
    signal: AbortSignal | undefined,
  ): Promise<DetectionResult[]> {
    const found = await this.#loaded.replicas.detect(pictures, options, signal);
    return found.detections.map((values, i) => {
      const picture = pictures[i] as NativePicture;
      const { width, height } = picture;
      const result = { image: imageName(sources[i] as ImageSource), width, height, detections: toDetections(values, this.classes) };
      const [timings, decoded] = [found.timings[i], this.#decoded.get(picture)];
      return timings && decoded ? { ...result, timings: timingsOf(decoded, timings) } : result;
    });
  }

  /** The call's options over the load's, over the weights' own, over the checkpoint's settings. */
  #nativeOptions(changes: DetectOptions): NativeDetectOptions {
    if (this.#closing) throw new CornerNetError('ERR_CLOSED', 'the detector is closed');
    const { weights, options, classes } = this.#loaded;
    const wanted: LoadOptions = merge<LoadOptions>(options, changes);
    const nms = merge(options.softNms ?? {}, changes.softNms ?? {});
    const settings: NativeSettings = merge(this.#info.settings, {
      mean: wanted.mean as [number, number, number] | undefined,
      std: wanted.std as [number, number, number] | undefined,
      toRgb: wanted.toRgb,
      cornerTopk: wanted.cornerTopk,
      distanceThreshold: wanted.distanceThreshold,
      maxPerImage: wanted.maxPerImage,
      nmsMethod: nms.method,
      nmsIouThreshold: nms.iouThreshold,
      nmsSigma: nms.sigma,
      nmsMinScore: nms.minScore,
    } as Partial<NativeSettings>);
    return {
      flip: wanted.flip ?? weights.flip,
      numerics: wanted.numerics ?? 'mmdet2',
      scoreThreshold: wanted.scoreThreshold ?? weights.scoreThreshold,
      timings: wanted.timings ?? false,
      classIds: wanted.classes ? resolveClasses(wanted.classes, classes) : [],
      settings,
    };
  }
}
