// Which detections of one class in one picture find which objects, at ten overlaps and in four ranges of area: COCO's evaluateImg.
import type { CocoBox } from './dataset.js';

/** Overlaps that count as found. */
export const overlaps: readonly number[] = Array.from({ length: 10 }, (_, i) => (i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9)));

/** Square pixels, both ends included. */
export const areaRanges: readonly (readonly [number, number])[] = [
  [0, 1e10],
  [0, 32 ** 2],
  [32 ** 2, 96 ** 2],
  [96 ** 2, 1e10],
];

/** Detections of a class in a picture that count at most. */
export const mostDetections = 100;

export interface TruthBox {
  readonly id: number;
  readonly bbox: CocoBox;
  readonly area: number;
  readonly crowd: boolean;
}

export interface FoundBox {
  readonly bbox: CocoBox;
  readonly score: number;
}

/** One class in one picture; `found` is in descending score, no more than {@link mostDetections}. */
export interface Scene {
  readonly truth: readonly TruthBox[];
  readonly found: readonly FoundBox[];
}

/** Bit i: at overlaps[i]. */
export interface Match {
  readonly matched: Uint16Array;
  /** Neither right nor wrong: it found what doesn't count, or is of another size itself. */
  readonly ignored: Uint16Array;
  /** Objects that count. */
  readonly truths: number;
}

/** Intersection over union; over the detection's own area where the object is a crowd. */
export function overlapOf(found: CocoBox, truth: CocoBox, crowd: boolean): number {
  const width = Math.min(found[0] + found[2], truth[0] + truth[2]) - Math.max(found[0], truth[0]);
  if (width <= 0) return 0;
  const height = Math.min(found[1] + found[3], truth[1] + truth[3]) - Math.max(found[1], truth[1]);
  if (height <= 0) return 0;
  const common = width * height;
  const own = found[2] * found[3];
  return common / (crowd ? own : own + truth[2] * truth[3] - common);
}

/** Row by row: one a detection, one column an object. */
export function overlapMatrix({ truth, found }: Scene): Float64Array {
  const matrix = new Float64Array(truth.length * found.length);
  let at = 0;
  for (const { bbox } of found) for (const object of truth) matrix[at++] = overlapOf(bbox, object.bbox, object.crowd);
  return matrix;
}

function isOutside(area: number, [least, most]: readonly [number, number]): boolean {
  return area < least || area > most;
}

/** The reference's greedy choice, order and ties included. */
export function matchScene(scene: Scene, matrix: Float64Array, range: readonly [number, number]): Match {
  const { truth, found } = scene;
  const out = truth.map(({ area, crowd }) => crowd || isOutside(area, range));
  // Objects that count come first; among equals their order stays.
  const order = truth.map((_, i) => i).sort((a, b) => Number(out[a]) - Number(out[b]));
  const matched = new Uint16Array(found.length);
  const ignored = new Uint16Array(found.length);
  const taken = new Uint8Array(truth.length);
  overlaps.forEach((overlap, level) => {
    taken.fill(0);
    const bit = 1 << level;
    for (let d = 0; d < found.length; d++) {
      const best = choose(truth, order, out, taken, matrix, d * truth.length, overlap);
      if (best === -1) continue;
      taken[best] = 1;
      if (out[best] === true) ignored[d] = (ignored[d] ?? 0) | bit;
      // The reference keeps the object's id to say that there is a match, and so takes an object of id 0 for none.
      if (truth[best]?.id !== 0) matched[d] = (matched[d] ?? 0) | bit;
    }
  });
  const all = (1 << overlaps.length) - 1;
  found.forEach(({ bbox }, d) => {
    if (isOutside(bbox[2] * bbox[3], range)) ignored[d] = (ignored[d] ?? 0) | (all & ~(matched[d] ?? 0));
  });
  return { matched, ignored, truths: out.filter((isOut) => !isOut).length };
}

function choose(
  truth: readonly TruthBox[],
  order: readonly number[],
  out: readonly boolean[],
  taken: Uint8Array,
  matrix: Float64Array,
  row: number,
  overlap: number,
): number {
  let best = -1;
  let most = Math.min(overlap, 1 - 1e-10);
  for (const g of order) {
    if (taken[g] === 1 && truth[g]?.crowd !== true) continue;
    if (best !== -1 && out[best] === false && out[g] === true) break; // one that counts is better than any that doesn't
    const value = matrix[row + g] ?? 0;
    if (value < most) continue;
    most = value;
    best = g;
  }
  return best;
}
