// The detections of a set of annotated pictures, in COCO's form.
import { CornerNetError } from '../errors.js';
import { Detector } from '../detector/detector.js';
import { keptNames } from '../options/check.js';
import type { LoadOptions } from '../options/interfaces.js';
import { listed } from '../validation.js';
import { categoryIds, cocoBox, type CocoAnnotations, type CocoDetection } from './dataset.js';
import { picturesBelow } from './pictures.js';

export interface DetectedSet {
  readonly detections: CocoDetection[];
  /** In words: categories that are not detected, and pictures that could not be read, which count as pictures in which nothing was found. */
  readonly warnings: string[];
  readonly device: string;
  readonly precision: string;
}

/** Category ids by class id. Classes that the annotations don't have are none of their business. */
function categoriesOf(ids: ReadonlyMap<string, number>, classes: readonly string[]): (number | undefined)[] {
  const found = classes.map((name) => ids.get(name));
  if (found.some((id) => id !== undefined)) return found;
  throw new CornerNetError('ERR_INPUT', `the annotations have none of the weights' classes (${listed(classes, 5)})`);
}

/** In words: what is annotated and can't be found. */
function undetected({ annotations, categories }: CocoAnnotations, classes: readonly string[]): string[] {
  const annotated = new Set(annotations.map(({ category_id }) => category_id));
  const detected = new Set(classes);
  const names = categories.filter(({ id, name }) => annotated.has(id) && !detected.has(name)).map(({ name }) => name);
  if (names.length === 0) return [];
  return [`${names.length} annotated categories are not detected, and their objects count as missed: ${listed(names, 5)}`];
}

export interface DetectSetOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onPicture?: ((failed: boolean) => void) | undefined;
}

/** @throws {CornerNetError} `ERR_INPUT` when pictures are missing, no class is annotated or two categories have one name, and what `Detector.load` throws. */
export async function detectSet(
  annotations: CocoAnnotations,
  images: string,
  weights: string | undefined,
  options: LoadOptions,
  { signal, onPicture }: DetectSetOptions = {},
): Promise<DetectedSet> {
  const ids = categoryIds(annotations);
  const paths = await picturesBelow(images, annotations);
  // Everything that the network returns counts in an average precision, as it does where the published ones come from.
  await using detector = await Detector.load(weights, { scoreThreshold: 0, ...options });
  const categories = categoriesOf(ids, detector.classes);
  const warnings = undetected(annotations, keptNames(options.classes, detector.classes));
  const detections: CocoDetection[] = [];
  const failures: string[] = [];
  let at = 0;
  for await (const result of detector.detectAll(paths, { signal })) {
    const image_id = annotations.images[at++]?.id ?? 0;
    onPicture?.('error' in result);
    if ('error' in result) {
      failures.push(result.error.message);
      continue;
    }
    for (const { classId, score, box } of result.detections) {
      const category_id = categories[classId];
      if (category_id !== undefined) detections.push({ image_id, category_id, bbox: cocoBox(box), score });
    }
  }
  if (failures.length > 0)
    warnings.push(`${failures.length} pictures could not be read and count as empty (the first: ${failures[0] ?? ''})`);
  return { detections, warnings, device: detector.device, precision: detector.precision };
}
