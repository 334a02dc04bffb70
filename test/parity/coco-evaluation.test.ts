// COCO's evaluation against pycocotools: its recorded numbers, and its own run on hundreds of drawn cases.
import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { evaluateDetections, type CocoAnnotation, type CocoAnnotations, type CocoDetection, type CocoEvaluation } from '../../lib/coco.js';
import { fixtures, orSkip, pythonWithTorch, root, runQuietly } from '../environment.js';
import { random } from '../support/batch.js';
import { allInAFolder } from '../support/scratch.js';

/** Both add the same doubles, in another order in places: a few units in the sixteenth digit. */
const tolerance = 1e-9;

function assertClose(ours: number, theirs: number, what: string): void {
  assert.ok(Math.abs(ours - theirs) <= tolerance, `${what}: ${ours} against ${theirs}`);
}

function assertSame({ perClassAP }: CocoEvaluation, theirs: Record<string, number>, what: string): void {
  assert.deepEqual(Object.keys(perClassAP).sort(), Object.keys(theirs).sort());
  for (const [id, ap] of Object.entries(theirs)) assertClose(perClassAP[id] ?? NaN, ap, `${what}, class ${id}`);
}

interface Case {
  readonly annotations: CocoAnnotations;
  readonly detections: CocoDetection[];
}

/** Crowds, ignored areas, negative widths and areas, ties, empty pictures, categories without annotations, ids in no order, an annotation of id 0. */
function draw(seed: number): Case {
  const next = random(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  const images = Array.from({ length: 2 + below(10) }, (_, i) => ({
    id: (i * 7919 + seed) % 1000,
    file_name: `${i}.jpg`,
    width: 640,
    height: 480,
  }));
  const categories = Array.from({ length: 1 + below(4) }, (_, i) => ({ id: (i * 37 + 11) % 91, name: `class ${i}` }));
  const any = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  const side = (): number => [4, 30, 32, 60, 96, 150][below(6)] ?? 0;
  const annotations: CocoAnnotation[] = [];
  const detections: CocoDetection[] = [];
  const scores = [0.1, 0.5, 0.5, 0.9]; // ties are the rule
  const first = seed % 5 === 0 ? 0 : 1;
  for (let i = 0; i < below(60); i++) {
    const [image, category] = [any(images), any(categories)];
    const bbox = [below(500), below(300), side() + next(), side()] as const;
    annotations.push({
      id: i + first,
      image_id: image.id,
      category_id: category.id,
      bbox: next() < 0.05 ? [bbox[0], bbox[1], -bbox[2], bbox[3]] : bbox,
      area: bbox[2] * bbox[3] * (next() < 0.3 ? 0.4 : 1) * (next() < 0.05 ? -1 : 1),
      iscrowd: Number(next() < 0.15),
    });
    for (let copies = below(4); copies > 0; copies--) {
      const moved = bbox.map((value) => value + below(9) - 4) as [number, number, number, number];
      const box = [moved[0], moved[1], Math.max(0, moved[2]), Math.max(0, moved[3])] as const;
      detections.push({ image_id: image.id, category_id: next() < 0.9 ? category.id : any(categories).id, bbox: box, score: any(scores) });
    }
  }
  for (let i = 0; i < (seed % 7 === 0 ? 150 : 3); i++) {
    detections.push({
      image_id: any(images).id,
      category_id: any(categories).id,
      bbox: [below(500), below(300), side(), side()],
      score: next(),
    });
  }
  return { annotations: { images, annotations, categories }, detections };
}

describe('COCO evaluation', function () {
  this.timeout(600_000);
  let folder: string;
  allInAFolder('eval', (made) => (folder = made));

  it("equals pycocotools' recorded numbers", () => {
    const read = (name: string): unknown => JSON.parse(readFileSync(join(fixtures, 'coco_eval', name), 'utf8')) as unknown;
    const evaluation = evaluateDetections(read('annotations.json') as CocoAnnotations, read('detections.json') as CocoDetection[]);
    const expected = read('expected.json') as { stats: Record<string, number>; perClassAP: Record<string, number> };
    assert.deepEqual(Object.keys(evaluation.stats), Object.keys(expected.stats));
    for (const [name, value] of Object.entries(evaluation.stats) as [string, number][])
      assertClose(value, expected.stats[name] ?? NaN, name);
    assertSame(evaluation, expected.perClassAP, 'recorded');
  });

  it('equals pycocotools on 300 drawn cases', async function () {
    const python = await orSkip(this, pythonWithTorch);
    const cases = Array.from({ length: 300 }, (_, seed) => draw(seed + 1));
    writeFileSync(join(folder, 'cases.json'), JSON.stringify(cases));
    const said = await runQuietly(python, [join(root, 'test', 'parity', 'coco_cases.py'), join(folder, 'cases.json')]);
    const theirs = JSON.parse(said) as { stats: number[]; perClassAP: Record<string, number> }[];
    cases.forEach(({ annotations, detections }, i) => {
      const ours = evaluateDetections(annotations, detections);
      const names = Object.keys(ours.stats);
      Object.values(ours.stats).forEach((value: number, n) => {
        assertClose(value, theirs[i]?.stats[n] ?? NaN, `case ${i}, ${names[n] ?? ''}`);
      });
      assertSame(ours, theirs[i]?.perClassAP ?? {}, `case ${i}`);
    });
    // The cases are worth something: they have numbers of every kind, not only -1, 0 and 1.
    assert.ok(theirs.filter(({ stats }) => (stats[0] ?? 0) > 0.05 && (stats[0] ?? 0) < 0.95).length > 200);
  });
});
