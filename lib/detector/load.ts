// Loading weights onto one or several devices.
import { abortable } from '../abort.js';
import { cocoClasses } from '../coco/categories.js';
import { CornerNetError, fromNative } from '../errors.js';
import { everyCuda } from '../every-cuda.js';
import { loadNative, type NativeDetector, type NativeInfo } from '../native.js';
import { checkLoadOptions, resolveClasses } from '../options/check.js';
import type { LoadOptions } from '../options/interfaces.js';
import type { Abortable } from '../options/values.js';
import { resolveWeights, type ResolvedWeights } from '../weights/weights.js';
import { Replicas } from './replicas.js';

export interface Loaded {
  readonly replicas: Replicas;
  /** Of the first replica; the others differ by their device. */
  readonly info: NativeInfo;
  readonly weights: ResolvedWeights;
  readonly options: LoadOptions;
  readonly classes: readonly string[];
}

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

/** What `Detector.load` documents. */
export async function loadDetectors(weights: string, options: LoadOptions & Abortable): Promise<Loaded> {
  const { signal, ...checked } = checkLoadOptions(options);
  if (typeof weights !== 'string') throw new CornerNetError('ERR_OPTION', 'weights must be an id or a path');
  signal?.throwIfAborted();
  const resolved = resolveWeights(weights);
  const native = loadNative();
  const wanted = typeof checked.device === 'object' ? checked.device : [checked.device ?? 'auto'];
  const devices = wanted.flatMap((device) => (device === 'cuda:*' ? everyCuda() : [device]));
  const cpus = devices.filter((device) => device === 'cpu' || device === 'auto').length;
  const { precision, tf32, deterministic, cudaGraphs } = checked;
  const threads = checked.threads ?? Math.max(1, Math.floor(native.buildInfo().cores / Math.max(1, cpus)));
  const detectors: NativeDetector[] = [];
  const closeAll = (): Promise<unknown> => Promise.all(detectors.map((detector) => detector.close()));
  try {
    const infos = await abortable(signal, () =>
      fromNative(
        Promise.all(
          devices.map(async (device) => {
            const detector = new native.Detector();
            detectors.push(detector);
            return detector.load({ path: resolved.path, device, precision, threads, tf32, deterministic, cudaGraphs });
          }),
        ),
      ),
    );
    const first = infos[0] as NativeInfo;
    const replicas = new Replicas(infos.map((info, i) => ({ info, native: detectors[i] as NativeDetector })));
    const classes = classNames(first, checked.classNames);
    if (checked.classes) resolveClasses(checked.classes, classes);
    return { replicas, info: first, weights: resolved, options: checked, classes };
  } catch (error) {
    void closeAll(); // after an abort the load itself takes its time
    throw error;
  }
}
