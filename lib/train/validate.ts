// Average precision of a checkpoint on the way, by the product's own detector and evaluator.
import { categoryIds, readAnnotations, type CocoAnnotations } from '../coco/dataset.js';
import { detectSet } from '../coco/detect.js';
import { evaluateChecked, type CocoStats } from '../coco/evaluate.js';
import { CornerNetError } from '../errors.js';
import type { Device } from '../options/values.js';
import { listed } from '../validation.js';

export interface Validation {
  readonly images: string;
  readonly annotations: CocoAnnotations;
  readonly threads?: number | undefined;
}

/** @throws {CornerNetError} `ERR_INPUT` when the annotations are none, have two categories of one name, a class that isn't trained, or no object. */
export async function readValidation(
  images: string,
  file: string,
  classes: readonly string[],
  threads: number | undefined,
): Promise<Validation> {
  const annotations = await readAnnotations(file);
  const trained = new Set(classes);
  const unknown = [...categoryIds(annotations, file).keys()].filter((name) => !trained.has(name));
  if (unknown.length > 0) {
    throw new CornerNetError('ERR_INPUT', `${file} has ${unknown.length} categories that are not trained: ${listed(unknown, 5)}`);
  }
  if (evaluateChecked(annotations, []).stats.AP < 0)
    throw new CornerNetError('ERR_INPUT', `${file} has no object to measure average precision by`);
  return { images, annotations, threads };
}

/** Without mirroring, in fp32: what mmdetection's plain test gives. @param device the training's; of several in one process it is the CPU. */
export async function validate(
  { images, annotations, threads }: Validation,
  checkpoint: string,
  device: Device,
  signal: AbortSignal | undefined,
): Promise<{ readonly stats: CocoStats; readonly warnings: readonly string[] }> {
  const options = { device, precision: 'fp32', flip: false, threads } as const;
  const { detections, warnings } = await detectSet(annotations, images, checkpoint, options, { signal });
  const evaluated = evaluateChecked(annotations, detections);
  return { stats: evaluated.stats, warnings: [...warnings, ...evaluated.warnings] };
}
