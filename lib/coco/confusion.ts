// What objects were taken for, and the pictures with the most mistakes.
import type { CocoAnnotations, CocoDetection } from './dataset.js';
import { overlapOf } from './matching.js';

/** Overlap from which a detection is said to be of an object, whatever its class. */
const leastOverlap = 0.5;

export interface PictureMistakes {
  readonly imageId: number;
  /** Objects not found, or taken for another class. */
  readonly missed: number;
  /** Detections of nothing, or of another class. */
  readonly wrong: number;
}

export interface Confusion {
  /** Category names in the order of their ids; the last row and column, nothing, are not in it. */
  readonly names: readonly string[];
  /** counts[what it is][what it was taken for]. */
  readonly counts: readonly (readonly number[])[];
  /** Most mistakes first; pictures without any are left out. */
  readonly pictures: readonly PictureMistakes[];
}

function groupByImage<T extends { readonly image_id: number }>(values: readonly T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const value of values) {
    const group = groups.get(value.image_id);
    if (group) group.push(value);
    else groups.set(value.image_id, [value]);
  }
  return groups;
}

/** Crowds are left out, and detections below `scoreThreshold`. */
export function confuse(annotations: CocoAnnotations, detections: readonly CocoDetection[], scoreThreshold: number): Confusion {
  const categories = [...annotations.categories].sort((a, b) => a.id - b.id);
  const index = new Map(categories.map(({ id }, i) => [id, i]));
  const nothing = categories.length;
  const counts = Array.from({ length: nothing + 1 }, () => new Array<number>(nothing + 1).fill(0));
  const add = (is: number, seen: number): void => {
    const row = counts[is] as number[];
    row[seen] = (row[seen] ?? 0) + 1;
  };
  const truth = groupByImage(annotations.annotations.filter(({ iscrowd, category_id }) => !iscrowd && index.has(category_id)));
  const found = groupByImage(detections.filter(({ score, category_id }) => score >= scoreThreshold && index.has(category_id)));
  const pictures = annotations.images.map(({ id: imageId }) => {
    const objects = truth.get(imageId) ?? [];
    const boxes = [...(found.get(imageId) ?? [])].sort((a, b) => b.score - a.score);
    const taken = new Set<number>();
    const mistakes = { imageId, missed: 0, wrong: 0 };
    for (const { bbox, category_id } of boxes) {
      const seen = index.get(category_id) as number;
      let best = -1;
      let most = leastOverlap;
      objects.forEach((object, i) => {
        const overlap = overlapOf(bbox, object.bbox, false);
        if (taken.has(i) || overlap < most) return;
        most = overlap;
        best = i;
      });
      const is = best === -1 ? nothing : (index.get((objects[best] as (typeof objects)[number]).category_id) as number);
      taken.add(best);
      add(is, seen);
      if (is !== seen) mistakes.wrong++;
      if (is !== seen && is !== nothing) mistakes.missed++;
    }
    objects.forEach(({ category_id }, i) => {
      if (taken.has(i)) return;
      add(index.get(category_id) as number, nothing);
      mistakes.missed++;
    });
    return mistakes;
  });
  const wrong = pictures.filter(({ missed, wrong: wrongOnes }) => missed + wrongOnes > 0);
  wrong.sort((a, b) => b.missed + b.wrong - a.missed - a.wrong || a.imageId - b.imageId);
  return { names: categories.map(({ name }) => name), counts, pictures: wrong };
}
