// A calibration: pictures through the fp32 network, ways to compute in 8 bits tried on some of them, the best one written.
import { Detector } from '../detector/detector.js';
import type { DetectionResult } from '../detector/result.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import { decodeImage } from '../images/image.js';
import { expandInputs } from '../inputs/expand.js';
import { loadNative, type NativePicture, type NativeQuantizer } from '../native.js';
import { nativeCalls, type NativeCall } from '../native-calls.js';
import { checkControls } from '../options/check.js';
import { defaultMaxPixels, type Abortable } from '../options/values.js';
import { checkNoInput, writeAside } from '../output-file.js';
import { defaultWeights, resolveWeights } from '../weights/weights.js';
import { agreementOf } from './agreement.js';
import type { QuantizeOptions } from './interfaces.js';
import { checkQuantizeOptions } from './options.js';
import type { QuantizeAgreement, QuantizeControls, QuantizeReport, QuantizeTrial } from './types.js';

const usualPictures = 300;

/** At most `most` of them, evenly spread over their order. */
function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.floor((i * items.length) / most)] as T);
}

async function observeAll(
  quantizer: NativeQuantizer,
  call: NativeCall,
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
      await call((id) => quantizer.observe(id, { data, width, height }));
      read.push(image);
    }
    onProgress?.({ stage: 'observing', done: i + 1, total: images.length });
  }
  if (read.length === 0) {
    throw new CornerNetError('ERR_INPUT', `none of ${images.length} pictures can be read, the first: ${failed[0]?.reason ?? ''}`);
  }
  return { failed, read };
}

async function tryAll(quantizer: NativeQuantizer, call: NativeCall, { onProgress }: QuantizeControls): Promise<void> {
  for (let done = 1; ; done++) {
    const trial: QuantizeTrial | undefined = await call((id) => quantizer.tryNext(id));
    if (!trial) return;
    onProgress?.({ stage: 'trying', done, trial });
  }
}

/** What both networks detect, in the views that the weights are known for: the exact one, and the one that was written. */
async function compare(
  weights: string,
  written: string,
  images: readonly string[],
  options: Pick<QuantizeOptions, 'threads'> & Abortable,
): Promise<QuantizeAgreement> {
  const { flip, scoreThreshold } = resolveWeights(weights);
  const lists = async (file: string, precision: 'fp32' | 'int8'): Promise<DetectionResult['detections'][]> => {
    await using detector = await Detector.load(file, { ...options, device: 'cpu', precision, flip, scoreThreshold: 0 });
    const found: DetectionResult['detections'][] = [];
    for (const image of images) found.push((await detector.detect(image, { signal: options.signal })).detections);
    return found;
  };
  return agreementOf(await lists(weights, 'fp32'), await lists(written, 'int8'), scoreThreshold);
}

/**
 * Calibrates weights for `precision: 'int8'` on the CPU: looks at what the fp32 network makes of the pictures, tries ways to compute in 8 bits on the
 * first of them, keeps in 16 bits what `wideShare` allows, and writes a checkpoint that has the original's weights, class names and settings and beside them
 * what 8 bits need. The file is loaded as any other, in any precision; 'auto' is int8 where the CPU has VNNI or AMX.
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_INPUT` (no picture can be read), `ERR_WEIGHTS`, `ERR_CHECKPOINT`, `ERR_DEVICE` (a CPU without
 * VNNI and AMX), `ERR_WRITE`, `ERR_OUT_OF_MEMORY`, `ERR_NOT_BUILT`, `ERR_LIBTORCH`; an abort rejects with the signal's reason and leaves nothing.
 */
export async function quantize(options: QuantizeOptions, controls: QuantizeControls = {}): Promise<QuantizeReport> {
  const { weights = defaultWeights(), images, output, pictures = usualPictures, wideShare, threads } = checkQuantizeOptions(options);
  const { signal } = checkControls(controls, ['signal', 'onProgress']);
  signal?.throwIfAborted();
  const { path } = resolveWeights(weights);
  await checkNoInput([output], [path]);
  return writeAside(output, async (aside) => {
    const files = await expandInputs([images]);
    if (files.length === 0) throw new CornerNetError('ERR_INPUT', `there are no pictures in ${images}`);
    const quantizer = new (loadNative().Quantizer)();
    const call = nativeCalls(quantizer, signal);
    try {
      await call(() => quantizer.begin({ path, threads, wideShare }));
      const { failed, read } = await observeAll(quantizer, call, spread(files, pictures), controls);
      await tryAll(quantizer, call, controls);
      const found = await call((id) => quantizer.write(id, aside));
      await quantizer.close(); // two networks are not held beside it
      const agreement = await compare(weights, aside, read.slice(0, found.probes), { threads, signal });
      return { weights, output, failed, ...found, agreement };
    } finally {
      await quantizer.close();
    }
  });
}
