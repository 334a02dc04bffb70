// A run of mmdetection's on the digits, its first steps repeated through the addon.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { readAnnotations } from '../../lib/coco/dataset.js';
import { decodeImage } from '../../lib/images/image.js';
import { loadNative } from '../../lib/native.js';
import { classesOf, decodeSample, LeftOut, picturesOf } from '../../lib/train/samples.js';
import { learningRates } from '../../lib/train/schedule.js';
import { fixtures } from '../environment.js';

interface Run {
  iterations: number;
  batch: number;
  /** Of the first steps, in their order. */
  pictures: string[];
  total_loss_and_gradient_norm: [number, number][];
}

describe("mmdetection's training on the digits", () => {
  it('has the same losses over its first ten steps', async function () {
    this.timeout(600_000);
    const folder = join(fixtures, 'digits', 'train');
    const run = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as Run;
    const annotations = await readAnnotations(join(folder, 'annotations.json'));
    const classes = classesOf(annotations);
    const pictures = new Map((await picturesOf(annotations, folder, new LeftOut())).map((picture) => [picture.name, picture]));
    const classIds = new Map(classes.map((name, id) => [name, id]));
    const milestones = [[0.6 * run.iterations, 0.3], [0.85 * run.iterations, 0.2]] as const; // prettier-ignore
    const rates = learningRates({ rate: 2.5e-3, warmup: 100, milestones });
    const trainer = new (loadNative().Trainer)();
    try {
      const info = await trainer.begin({ from: join(folder, 'start.pth'), classes });
      assert.deepEqual(info.drawn, []);
      for (const [i, [loss]] of run.total_loss_and_gradient_norm.entries()) {
        const names = run.pictures.slice(i * run.batch, (i + 1) * run.batch);
        const samples = await Promise.all(
          names.map(async (name) => {
            const picture = pictures.get(name);
            // That run learned from pictures without objects too.
            const empty = async () => ({ picture: await decodeImage(join(folder, name), 1e6), boxes: new Float32Array() });
            return { ...(picture ? await decodeSample(picture, classIds) : await empty()), seed: 0 };
          }),
        );
        const { total } = await trainer.step(i, samples, { enabled: false, size: 192 }, rates.next().value);
        // JPEG decoders differ by a level or two a pixel, which every step makes a little more of.
        assert.ok(Math.abs(total - loss) < 0.02 * loss, `step ${i}: ${total} instead of ${loss}`);
      }
    } finally {
      await trainer.close();
    }
  });
});
