// What is taken for what, against pictures worked out by hand.
import { strict as assert } from 'node:assert';

import { confuse, isMistake } from '../../lib/coco/confusion.js';
import type { CocoAnnotation, CocoBox, CocoDetection } from '../../lib/coco/dataset.js';

const categories = [
  { id: 7, name: 'dog' },
  { id: 3, name: 'cat' },
];
const images = [1, 2, 3].map((id) => ({ id, file_name: `${id}.jpg` }));
const object = (image_id: number, category_id: number, bbox: CocoBox, iscrowd = 0): CocoAnnotation => ({
  ...{ id: 1, image_id, category_id, bbox, iscrowd },
});
const found = (image_id: number, category_id: number, bbox: CocoBox, score: number): CocoDetection => ({
  ...{ image_id, category_id, bbox, score },
});

const rows = (counts: readonly ReadonlyMap<number, number>[]): number[][] =>
  counts.map((row) => counts.map((_, seen) => row.get(seen) ?? 0));

describe('confusion', () => {
  it('counts what is right, taken for another class, missed and of nothing', () => {
    const annotations = [object(1, 3, [0, 0, 10, 10]), object(1, 7, [50, 0, 10, 10]), object(2, 7, [0, 0, 10, 10])];
    const detections = [
      found(1, 3, [0, 0, 10, 9], 0.9), // right
      found(1, 3, [50, 0, 10, 10], 0.8), // a dog taken for a cat
      found(1, 7, [80, 80, 10, 10], 0.7), // of nothing
      found(2, 7, [0, 0, 10, 10], 0.2), // too unsure: the dog is missed
    ];
    const { names, counts, pictures } = confuse({ images, categories, annotations }, detections, 0.5);
    assert.deepEqual(names, ['cat', 'dog']);
    assert.deepEqual(rows(counts), [[1, 0, 0], [1, 0, 1], [0, 1, 0]]); // prettier-ignore
    assert.deepEqual(pictures.map(({ imageId, missed, wrong }) => [imageId, missed, wrong]), [[1, 1, 2], [2, 1, 0]]); // prettier-ignore
    assert.deepEqual(pictures[0]?.pairs.map((pair) => isMistake(pair)), [false, true, true]); // prettier-ignore
  });

  it('lets the surest detection choose, and calls the second one of an object wrong', () => {
    const detections = [found(1, 3, [0, 0, 10, 10], 0.6), found(1, 3, [0, 0, 10, 9], 0.9)];
    const { counts, pictures } = confuse({ images, categories, annotations: [object(1, 3, [0, 0, 10, 10])] }, detections, 0.5);
    assert.deepEqual(rows(counts), [[1, 0, 0], [0, 0, 0], [1, 0, 0]]); // prettier-ignore
    assert.equal(pictures[0]?.pairs[1]?.found?.score, 0.6);
  });

  it('leaves out crowds and what lies in them, but not what is of another class', () => {
    const annotations = [object(1, 3, [0, 0, 100, 100], 1)];
    const detections = [found(1, 3, [10, 10, 5, 5], 0.9), found(1, 7, [10, 10, 5, 5], 0.9)];
    assert.deepEqual(rows(confuse({ images, categories, annotations }, detections, 0.5).counts), [[0, 0, 0], [0, 0, 0], [0, 1, 0]]); // prettier-ignore
  });

  it('takes no room for what never happens, and of a crowded picture the surest detections alone', () => {
    const many = Array.from({ length: 100_000 }, (_, id) => ({ id, name: String(id) }));
    const detections = Array.from({ length: 20_000 }, (_, i) => found(1, i, [i, 0, 10, 10], i / 20_000));
    const annotations = [object(1, 19_999, [19_999, 0, 10, 10]), object(1, 0, [0, 0, 10, 10])];
    const { counts, pictures } = confuse({ images, categories: many, annotations }, detections, 0);
    assert.equal(counts[19_999]?.get(19_999), 1);
    assert.equal(counts[0]?.get(many.length), 1, 'the unsure one counts');
    assert.equal(
      counts.reduce((sum, row) => sum + [...row.values()].reduce((all, count) => all + count, 0), 0),
      1001,
    );
    assert.equal(pictures[0]?.wrong, 999);
  });
});
