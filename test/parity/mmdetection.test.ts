// fp32 on the CPU equals mmdetection: the heads' values and the detections, with and without flip, for both of its numerics.
import { join } from 'node:path';

import { Detector, type Numerics } from '../../lib/index.js';
import { fixtures, hourglass104, orSkip } from '../environment.js';
import { assertSameDetections, assertSameHeads, readReference, tolerance } from './reference.js';

const published = { device: 'cpu', precision: 'fp32', scoreThreshold: 0 } as const;

function compare(title: string, checkpoint: () => Promise<string>, cases: { numerics: Numerics; file: string }[]): void {
  describe(title, function () {
    this.timeout(600_000);
    let detector: Detector | undefined;
    before(async function () {
      const file = await orSkip(this, checkpoint);
      detector = await Detector.load(file, published);
    });
    after(() => detector?.close());
    const loaded = (): Detector => detector as Detector;

    for (const { numerics, file } of cases) {
      for (const [name, reference] of Object.entries(readReference(file))) {
        const picture = join(fixtures, 'photos', name);
        const { heads: expected } = reference;
        if (expected) {
          it(`${numerics}: the heads of ${name}`, async () => {
            const heads = await loaded().heads(picture);
            assertSameHeads(heads, expected, tolerance.heads);
          });
        }
        for (const view of ['plain', 'flip'] as const) {
          it(`${numerics}: detections in ${name}, ${view}`, async () => {
            const { detections } = await loaded().detect(picture, { flip: view === 'flip', numerics });
            assertSameDetections(detections, reference[view]);
          });
        }
      }
    }
  });
}

describe('parity with mmdetection', () => {
  compare('a narrow one-stack network', () => Promise.resolve(join(fixtures, 'hourglass52_tiny.pth')), [
    { numerics: 'mmdet2', file: 'hourglass52_tiny_mmdet2.json' },
    { numerics: 'mmdet3', file: 'hourglass52_tiny_mmdet3.json' },
  ]);
  compare('HourglassNet-104', hourglass104, [{ numerics: 'mmdet2', file: 'hourglass104/hourglass104_mmdet2.json' }]);
});
