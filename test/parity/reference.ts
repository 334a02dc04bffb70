// What mmdetection computed, and how closely ours must match it.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Detection, DetectionResult, Heads } from '../../lib/index.js';
import { fixtures } from '../environment.js';

export interface ReferenceDetection {
  score: number;
  label: number;
  bbox: [number, number, number, number];
}

interface ReferenceMap {
  shape: [number, number, number];
  mean: number;
  std: number;
  index: number[];
  value: number[];
}

export interface ReferenceImage {
  plain: ReferenceDetection[];
  flip: ReferenceDetection[];
  pad_shape: [number, number];
  border: [number, number, number, number];
  /** Only mmdetection 2.x's files have them. */
  heads?: Record<'tl_heat' | 'br_heat' | 'tl_emb' | 'br_emb' | 'tl_off' | 'br_off', ReferenceMap>;
}

export function readReference(file: string): Record<string, ReferenceImage> {
  const parsed = JSON.parse(readFileSync(join(fixtures, file), 'utf8')) as { images: Record<string, ReferenceImage> };
  return parsed.images;
}

/** Folding the norms moves HourglassNet-104's scores by 6e-5 and its corners by 0.001 px; other fp32 summation orders add as much again. */
export const tolerance = { cornersPx: 0.05, score: 2e-4, heads: 5e-4 };

/** Below this score the order of near-equal candidates decides who is listed at all. */
const lowestScore = 0.01;
const maxPerImage = 100;

type Tolerance = Pick<typeof tolerance, 'cornersPx' | 'score'>;

interface Box {
  score: number;
  classId: number;
  box: readonly number[];
}

/** Whether the two are one detection. */
export function matches(a: Box, b: Box, allowed: Tolerance = tolerance): boolean {
  return (
    a.classId === b.classId &&
    Math.abs(a.score - b.score) <= allowed.score &&
    a.box.every((value, i) => Math.abs(value - (b.box[i] ?? NaN)) <= allowed.cornersPx)
  );
}

/** A full list is cut at its last score, so what scores about that may be on the other side of the cut. */
function floorOf(list: Box[]): number {
  const last = list.length >= maxPerImage ? (list[maxPerImage - 1]?.score ?? 0) + tolerance.score : 0;
  return Math.max(lowestScore, last);
}

function assertContained(these: Box[], those: Box[], what: string, allowed: Tolerance = tolerance): void {
  const floor = Math.max(floorOf(these), floorOf(those));
  const left = [...those];
  for (const wanted of these.filter((box) => box.score >= floor)) {
    const found = left.findIndex((candidate) => matches(wanted, candidate, allowed));
    if (found === -1) {
      const away = ({ classId, score, box }: Box): number =>
        (classId === wanted.classId ? 0 : 1e6) + Math.abs(score - wanted.score) / allowed.score + Math.max(...box.map((value, i) => Math.abs(value - (wanted.box[i] ?? NaN)))) / allowed.cornersPx; // prettier-ignore
      const [nearest] = [...left].sort((a, b) => away(a) - away(b));
      const text = (box?: Box): string => (box ? `class ${box.classId} at ${box.score} [${box.box.join(', ')}]` : 'nothing');
      assert.fail(`${what}: ${text(wanted)} has no counterpart; nearest is ${text(nearest)}`);
    }
    left.splice(found, 1); // each detection answers for one only
  }
}

export function assertSameDetections(
  ours: readonly Detection[],
  reference: readonly ReferenceDetection[],
  allowed: Tolerance = tolerance,
): void {
  const expected = reference.map(({ score, label, bbox }) => ({ score, classId: label, box: bbox }));
  assert.ok(
    expected.some((box) => box.score >= lowestScore),
    'the reference has no detection to compare',
  );
  assertContained(expected, [...ours], 'missing', allowed);
  assertContained([...ours], expected, 'not in the reference', allowed);
}

export function assertSameHeads(ours: Heads, reference: Required<ReferenceImage>['heads'], allowed: number): void {
  const maps = {
    tl_heat: ours.tlHeat,
    br_heat: ours.brHeat,
    tl_emb: ours.tlEmb,
    br_emb: ours.brEmb,
    tl_off: ours.tlOff,
    br_off: ours.brOff,
  };
  for (const [name, expected] of Object.entries(reference)) {
    const map = maps[name as keyof typeof maps];
    assert.deepEqual([...map.shape], expected.shape, name);
    expected.index.forEach((index, i) => {
      const value = map.values[index] ?? NaN;
      const wanted = expected.value[i] ?? NaN;
      assert.ok(Math.abs(value - wanted) <= allowed, `${name}[${index}] is ${value}, mmdetection's is ${wanted}`);
    });
  }
}

/** Two runs of ours found the same, within the parity tolerance. */
export function assertSameResults(results: readonly DetectionResult[], expected: readonly DetectionResult[]): void {
  assert.deepEqual(
    results.map(({ image }) => image),
    expected.map(({ image }) => image),
  );
  results.forEach(({ detections }, i) => {
    const wanted = expected[i]?.detections ?? [];
    assertContained([...wanted], [...detections], 'missing');
    assertContained([...detections], [...wanted], 'not in the other run');
  });
}
