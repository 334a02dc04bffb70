// Detections in JPEGs equal mmdetection's as far as two JPEG decoders agree, for both of its numerics.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Detector, type Detection } from '../../lib/index.js';
import { fixtures } from '../environment.js';
import type { ReferenceDetection } from './reference.js';

/** A level or two a pixel moves a sure corner by up to half a pixel and its score by a few hundredths. */
const slack = { cornersPx: 1, score: 0.05 };
/** Surely found: far enough above the noise that no decoder's rounding decides. */
const sure = 0.4;

function isFound(wanted: ReferenceDetection, among: readonly Detection[]): boolean {
  return among.some(
    ({ classId, score, box }) =>
      classId === wanted.label &&
      Math.abs(score - wanted.score) <= slack.score &&
      box.every((side, i) => Math.abs(side - (wanted.bbox[i] ?? NaN)) <= slack.cornersPx),
  );
}

describe('digits in JPEGs', () => {
  let detector: Detector;
  before(async () => {
    detector = await Detector.load('digits', { device: 'cpu', precision: 'fp32', scoreThreshold: 0 });
  });
  after(() => detector.close());

  for (const numerics of ['mmdet2', 'mmdet3'] as const) {
    for (const view of ['plain', 'flip'] as const) {
      it(`${numerics}, ${view}: what mmdetection is sure of is found`, async () => {
        const file = join(fixtures, 'digits', `digits_${numerics}.json`);
        const { images } = JSON.parse(readFileSync(file, 'utf8')) as { images: Record<string, Record<string, ReferenceDetection[]>> };
        let compared = 0;
        for (const [name, reference] of Object.entries(images)) {
          const { detections } = await detector.detect(join(fixtures, 'digits', 'val', name), { flip: view === 'flip', numerics });
          for (const wanted of (reference[view] ?? []).filter(({ score }) => score >= sure)) {
            compared++;
            assert.ok(isFound(wanted, detections), `${name}: class ${wanted.label} at ${wanted.score} is missing`);
          }
        }
        assert.ok(compared >= 20, `only ${compared} detections were compared`);
      });
    }
  }
});
