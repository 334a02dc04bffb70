// A calibration: pictures through the fp32 network, ways to compute in 8 bits tried on some of them, the best one written.
import { abortable } from '../abort.js';
import { Detector } from '../detector/detector.js';
import type { DetectionResult } from '../detector/result.js';
import { CornerNetError, fromNative, sentenceOf } from '../errors.js';
import { decodeImage } from '../images/image.js';
import { expandInputs } from '../inputs/expand.js';
import { loadNative, type NativePicture, type NativeQuantizer } from '../native.js';
import { defaultMaxPixels, type Abortable } from '../options/values.js';
import { checkOutputFile } from '../output-file.js';
import { defaultWeights, resolveWeights } from '../weights/weights.js';
import { agreementOf } from './agreement.js';
import type { QuantizeOptions } from './interfaces.js';
import { checkQuantizeOptions } from './options.js';
import type { QuantizeAgreement, QuantizeControls, QuantizeReport, QuantizeTrial } from './types.js';

const usualPictures = 300;

/** At most `most` of them, evenly spread over their order. */
export function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.floor((i * items.length) / most)] as T);
}

/** One calibration's native side: calls in order, each of which an abort ends. */
class Calibration {
  readonly #quantizer: NativeQuantizer = new (loadNative().Quantizer)();
  readonly #signal: AbortSignal | undefined;
  #calls = 0;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  call<T>(start: (quantizer: NativeQuantizer, id: number) => Promise<T>): Promise<T> {
    const id = ++this.#calls;
    return abortable(
      this.#signal,
      () => fromNative(start(this.#quantizer, id)),
      () => this.#quantizer.cancel(id),
    );
  }

  close(): Promise<void> {
    return this.#quantizer.close();
  }
}

async function observeAll(
  calibration: Calibration,
  images: readonly string[],
  { signal, onProgress }: QuantizeControls,
): Promise<{ readonly failed: QuantizeReport['failed']; readonly read: readonly string[] }> {
  const failed: { image: string; reason: string }[] = [];
  const read: string[] = [];
  for (const [i, image] of images.entries()) {
    let picture: NativePicture | undefined;
    try {
      picture = await decodeImage(image, defaultMaxPixels, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      failed.push({ image, reason: sentenceOf(error) });
    }
    if (picture) {
      const { data, width, height } = picture;
      await calibration.call((quantizer, id) => quantizer.observe(id, { data, width, height }));
      read.push(image);
    }
    onProgress?.({ stage: 'observing', done: i + 1, total: images.length });
  }
  if (read.length === 0) {
    throw new CornerNetError('ERR_INPUT', `none of ${images.length} pictures can be read, the first: ${failed[0]?.reason ?? ''}`);
  }
  return { failed, read };
}

async function tryAll(calibration: Calibration, { onProgress }: QuantizeControls): Promise<void> {
  for (let done = 1; ; done++) {
    const trial: QuantizeTrial | undefined = await calibration.call((quantizer, id) => quantizer.tryNext(id));
    if (!trial) return;
    onProgress?.({ stage: 'trying', done, trial });
  }
}

/** What both networks detect: the exact one, and the one that was written. */
async function compare(
  weights: string,
  output: string,
  images: readonly string[],
  options: Pick<QuantizeOptions, 'threads'> & Abortable,
): Promise<QuantizeAgreement> {
  const lists = async (file: string, precision: 'fp32' | 'int8'): Promise<DetectionResult['detections'][]> => {
    await using detector = await Detector.load(file, { ...options, device: 'cpu', precision, scoreThreshold: 0 });
    const found: DetectionResult['detections'][] = [];
    for (const image of images) found.push((await detector.detect(image, { signal: options.signal })).detections);
    return found;
  };
  return agreementOf(await lists(weights, 'fp32'), await lists(output, 'int8'), resolveWeights(weights).scoreThreshold);
}

/**
 * Calibrates weights for `precision: 'int8'` on the CPU: looks at what the fp32 network makes of the pictures, tries ways to compute in 8 bits on the
 * first of them, keeps sensitive layers in 16 bits, and writes a checkpoint that has the original's weights, class names and settings and beside them
 * what 8 bits need. The file is loaded as any other, in any precision; 'auto' is int8 where the CPU has VNNI or AMX.
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_INPUT` (no picture can be read), `ERR_CHECKPOINT`, `ERR_DEVICE` (a CPU without VNNI and AMX),
 * `ERR_WRITE`, `ERR_OUT_OF_MEMORY`; an abort rejects with the signal's reason and leaves nothing.
 */
export async function quantize(options: QuantizeOptions, controls: QuantizeControls = {}): Promise<QuantizeReport> {
  const { weights = defaultWeights(), images, output, pictures = usualPictures, wideShare, threads } = checkQuantizeOptions(options);
  const { signal } = controls;
  signal?.throwIfAborted();
  const { path } = resolveWeights(weights);
  await checkOutputFile(output);
  const files = await expandInputs([images]);
  if (files.length === 0) throw new CornerNetError('ERR_INPUT', `there are no pictures in ${images}`);
  const calibration = new Calibration(signal);
  try {
    await calibration.call((quantizer) => quantizer.begin({ path, threads, wideShare }));
    const { failed, read } = await observeAll(calibration, spread(files, pictures), controls);
    await tryAll(calibration, controls);
    const found = await calibration.call((quantizer, id) => quantizer.write(id, output));
    await calibration.close();
    const agreement = await compare(weights, output, read.slice(0, found.probes), { threads, signal });
    return { weights, output, failed, ...found, agreement };
  } finally {
    await calibration.close();
  }
}
