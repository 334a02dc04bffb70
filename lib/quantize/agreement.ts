// How far two detectors find the same.
import { cocoBox } from '../coco/dataset.js';
import { overlapOf } from '../coco/matching.js';
import type { Detection } from '../detector/result.js';
import type { QuantizeAgreement } from './types.js';

const leastOverlap = 0.5;

interface Agreed {
  readonly overlap: number;
  readonly scoreDifference: number;
}

/** Each of `first`, best first, with the nearest of `second` of its class that nobody has yet. */
function agreed(first: readonly Detection[], second: readonly Detection[]): Agreed[] {
  const free = new Set(second);
  return first.flatMap((one) => {
    const candidates = [...free].filter(({ classId }) => classId === one.classId);
    const overlaps = candidates.map((other) => overlapOf(cocoBox(one.box), cocoBox(other.box), false));
    const overlap = Math.max(0, ...overlaps);
    const nearest = candidates[overlaps.indexOf(overlap)];
    if (!nearest || overlap < leastOverlap) return [];
    free.delete(nearest);
    return [{ overlap, scoreDifference: Math.abs(one.score - nearest.score) }];
  });
}

const part = (some: number, all: number): number => (all === 0 ? 1 : some / all);

/**
 * Of one list of detections a picture each. A detection counts from `scoreThreshold` on, and is found when the other has it, at whatever score: one
 * that lies at the threshold is not lost because its score moved a little.
 */
export function agreementOf(
  expected: readonly (readonly Detection[])[],
  got: readonly (readonly Detection[])[],
  scoreThreshold: number,
): QuantizeAgreement {
  const sure = (list: readonly Detection[]): Detection[] => list.filter(({ score }) => score >= scoreThreshold);
  const pairs = expected.flatMap((list, i) => agreed(sure(list), got[i] ?? []));
  const back = got.flatMap((list, i) => agreed(sure(list), expected[i] ?? []));
  const count = (lists: readonly (readonly Detection[])[]): number => lists.reduce((sum, list) => sum + sure(list).length, 0);
  const mean = (of: (pair: Agreed) => number): number =>
    part(
      pairs.reduce((sum, pair) => sum + of(pair), 0),
      pairs.length,
    );
  return {
    pictures: expected.length,
    detections: count(expected),
    found: part(pairs.length, count(expected)),
    confirmed: part(back.length, count(got)),
    overlap: mean(({ overlap }) => overlap),
    scoreDifference: pairs.length === 0 ? 0 : mean(({ scoreDifference }) => scoreDifference),
  };
}
