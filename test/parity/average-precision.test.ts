// AP on 200 pictures of digits, by pycocotools, against mmdetection's; and what bf16 costs.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { detectInputs } from '../../lib/commands/detect.js';
import { expandInputs } from '../../lib/inputs/expand.js';
import { fixtures, orSkip, pythonWithTorch, root, runQuietly, skipUnlessCpuComputes } from '../environment.js';
import { allInAFolder } from '../support/scratch.js';

const pictures = join(fixtures, 'digits', 'val');
const annotations = join(pictures, 'annotations.json');
const { stats: expected } = JSON.parse(readFileSync(join(fixtures, 'digits', 'expected_ap.json'), 'utf8')) as {
  stats: Record<'plain' | 'flip', { AP: number; AP50: number; AP75: number }>;
};

/** 0.3 points: JPEG decoders differ by a level or two a pixel, which moves boxes near the overlap thresholds across them. */
const slack = 0.003;

describe('average precision', function () {
  this.timeout(600_000);
  let python: string;
  let folder: string;
  allInAFolder('ap', (made) => (folder = made));
  before(async function () {
    python = await orSkip(this, pythonWithTorch);
  });

  async function averagePrecision(precision: 'fp32' | 'bf16', flip: boolean): Promise<number[]> {
    const output = join(folder, `${precision}-${String(flip)}.json`);
    const flags = {
      weights: 'digits',
      device: ['cpu'],
      precision,
      flip,
      scoreThreshold: 0,
      batchSize: 8,
      format: 'coco',
      annotations,
      output,
      quiet: true,
    } as const;
    assert.equal(await detectInputs(await expandInputs([pictures]), flags), 0);
    return JSON.parse(await runQuietly(python, [join(root, 'test', 'parity', 'coco_ap.py'), annotations, output])) as number[];
  }

  const fp32: Record<string, number> = {};
  for (const view of ['plain', 'flip'] as const) {
    it(`${view}: fp32 equals mmdetection's`, async () => {
      const [ap = NaN, ap50 = NaN, ap75 = NaN] = await averagePrecision('fp32', view === 'flip');
      fp32[view] = ap;
      for (const [ours, theirs] of [
        [ap, expected[view].AP],
        [ap50, expected[view].AP50],
        [ap75, expected[view].AP75],
      ] as const) {
        assert.ok(Math.abs(ours - theirs) <= slack, `${ours} against ${theirs}`);
      }
    });

    it(`${view}: bf16 keeps it`, async function () {
      skipUnlessCpuComputes(this, 'bf16');
      const [ap = NaN] = await averagePrecision('bf16', view === 'flip');
      assert.ok(Math.abs(ap - (fp32[view] ?? NaN)) <= slack, `${ap} against ${fp32[view] ?? NaN} in fp32`);
    });
  }
});
