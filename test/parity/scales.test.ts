// Several scales with flip equal mmdetection's MultiScaleFlipAug: the views' sizes by their work, and the merged detections.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Detector } from '../../lib/index.js';
import { fixtures, root } from '../environment.js';
import { assertSameDetections, matches, tolerance, type ReferenceDetection } from './reference.js';

interface ReferenceView {
  readonly pad_shape: readonly [number, number];
}

const scalesOf = { s050_075_100_125_150: [0.5, 0.75, 1, 1.25, 1.5], s100_200: [1, 2] };

/**
 * Ten views put many boxes of nearly one score upon each other, and soft-NMS lets their order decide which of two decays: the last bits of resizing
 * and summing make that order. Seen with three in a hundred; each has its counterpart's corners.
 */
const decidedByOrder = 5e-3;

/** Of boxes at most a pixel wide, fp32 itself decides the corners' order. */
function isWide({ box: [x1, y1, x2, y2] }: { readonly box: readonly [number, number, number, number] }): boolean {
  return x2 - x1 > 1 && y2 - y1 > 1;
}

for (const [title, weights, file] of [
  ['a narrow one-stack network', join(fixtures, 'hourglass52_tiny.pth'), 'hourglass52_tiny_scales_mmdet2.json'],
  ['the digits', join(root, 'weights', 'digits.pth'), join('digits', 'digits_scales_mmdet2.json')],
] as const) {
  describe(`several scales equal mmdetection's: ${title}`, () => {
    let detector: Detector;
    before(async () => {
      detector = await Detector.load(weights, { device: 'cpu', precision: 'fp32', scoreThreshold: 0, flip: true });
    });
    after(() => detector.close());

    const { images } = JSON.parse(readFileSync(join(fixtures, file), 'utf8')) as { images: Record<string, Record<string, unknown>> };
    for (const [name, reference] of Object.entries(images)) {
      for (const [key, scales] of Object.entries(scalesOf)) {
        it(`${name} at ${scales.join(', ')}`, async () => {
          const before = detector.stats;
          const { detections } = await detector.detect(join(fixtures, 'photos', name), { scales });
          const views = reference[`${key}_views`] as readonly ReferenceView[];
          const { views: all, forwards } = detector.stats;
          assert.equal(all - before.views, views.length);
          assert.equal(forwards - before.forwards, new Set(views.map(({ pad_shape }) => pad_shape.join('x'))).size);
          const wanted = (reference[key] as readonly ReferenceDetection[]).filter(({ bbox }) => isWide({ box: bbox }));
          const found = detections.filter(isWide);
          assertSameDetections(found, wanted, { ...tolerance, score: decidedByOrder });
          const close = wanted.filter(({ score, label, bbox }) => found.some((one) => matches(one, { score, classId: label, box: bbox })));
          assert.ok(close.length >= 0.95 * wanted.length, `${close.length} of ${wanted.length} are close`);
        });
      }
    }
  });
}
