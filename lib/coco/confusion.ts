// What objects were taken for, and the pictures with the most mistakes.
import { groupBy } from '../group-by.js';
import type { CocoAnnotation, CocoAnnotations, CocoDetection } from './dataset.js';
import { overlapOf } from './matching.js';

/** Overlap from which a detection is said to be of an object, whatever its class. */
const leastOverlap = 0.5;
/** Detections of a picture that count, the surest: each is compared with every object. */
export const mostOfAPicture = 1000;

/** A detection and the object that it is of; one of them alone: a detection of nothing, an object that was not found. */
export interface Pair {
  readonly found?: CocoDetection;
  readonly object?: CocoAnnotation;
}

export interface PictureMistakes {
  readonly imageId: number;
  /** Objects not found, or taken for another class. */
  readonly missed: number;
  /** Detections of nothing, or of another class. */
  readonly wrong: number;
  readonly pairs: readonly Pair[];
}

export interface Confusion {
  /** Category names in the order of their ids; the last row and column, nothing, are not in it. */
  readonly names: readonly string[];
  /** By what it is, how often it was taken for what; what never happened has no entry. */
  readonly counts: readonly ReadonlyMap<number, number>[];
  /** Most mistakes first; pictures without any are left out. */
  readonly pictures: readonly PictureMistakes[];
}

/** The surest detection chooses first, the object that it overlaps most. What lies in a crowd is left out, as the crowd is. */
function pair(annotated: readonly CocoAnnotation[], detections: readonly CocoDetection[]): Pair[] {
  const crowds = annotated.filter(({ iscrowd }) => iscrowd);
  const left = new Set(annotated.filter(({ iscrowd }) => !iscrowd));
  const pairs: Pair[] = [];
  for (const found of [...detections].sort((a, b) => b.score - a.score).slice(0, mostOfAPicture)) {
    let object: CocoAnnotation | undefined;
    let most = leastOverlap;
    for (const one of left) {
      const overlap = overlapOf(found.bbox, one.bbox, false);
      if (overlap < most) continue;
      most = overlap;
      object = one;
    }
    if (object) left.delete(object);
    else if (crowds.some((crowd) => crowd.category_id === found.category_id && overlapOf(found.bbox, crowd.bbox, true) >= leastOverlap)) continue; // prettier-ignore
    pairs.push({ found, ...(object && { object }) });
  }
  return [...pairs, ...[...left].map((object) => ({ object }))];
}

export function isMistake({ found, object }: Pair): boolean {
  return found?.category_id !== object?.category_id;
}

/** Detections below `scoreThreshold` are left out. */
export function confuse(annotations: CocoAnnotations, detections: readonly CocoDetection[], scoreThreshold: number): Confusion {
  const categories = [...annotations.categories].sort((a, b) => a.id - b.id);
  const index = new Map(categories.map(({ id }, i) => [id, i]));
  const nothing = categories.length;
  const counts = Array.from({ length: nothing + 1 }, () => new Map<number, number>());
  const add = (row: Map<number, number>, seen: number): unknown => row.set(seen, (row.get(seen) ?? 0) + 1);
  const indexOf = (one: { readonly category_id: number } | undefined): number => (one && index.get(one.category_id)) ?? nothing;
  const imageOf = (one: CocoAnnotation | CocoDetection): number => one.image_id;
  const truth = groupBy(
    annotations.annotations.filter(({ category_id }) => index.has(category_id)),
    imageOf,
  );
  const found = groupBy(
    detections.filter(({ score, category_id }) => score >= scoreThreshold && index.has(category_id)),
    imageOf,
  );
  const pictures = annotations.images.map(({ id: imageId }): PictureMistakes => {
    const pairs = pair(truth.get(imageId) ?? [], found.get(imageId) ?? []);
    for (const one of pairs) add(counts[indexOf(one.object)] as Map<number, number>, indexOf(one.found));
    const mistakes = pairs.filter(isMistake);
    return { imageId, pairs, missed: mistakes.filter(({ object }) => object).length, wrong: mistakes.filter((one) => one.found).length };
  });
  const wrong = pictures.filter(({ missed, wrong: wrongOnes }) => missed + wrongOnes > 0);
  wrong.sort((a, b) => b.missed + b.wrong - a.missed - a.wrong || a.imageId - b.imageId);
  return { names: categories.map(({ name }) => name), counts, pictures: wrong };
}
