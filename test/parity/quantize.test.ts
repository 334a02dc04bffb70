// Calibrating the digits for int8: AP beside fp32's, what the checkpoint keeps, what is refused.
import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { readAnnotations } from '../../lib/coco/dataset.js';
import { detectSet } from '../../lib/coco/detect.js';
import { evaluateChecked } from '../../lib/coco/evaluate.js';
import { defaultWeights, Detector, quantize, type QuantizeReport } from '../../lib/index.js';
import { agreementOf } from '../../lib/quantize/agreement.js';
import { summaryOf } from '../../lib/quantize/report.js';
import { fixtures, skipUnlessCpuComputes } from '../environment.js';
import { allInAFolder } from '../support/scratch.js';

/** On which AP is measured; calibration sees others. */
const pictures = join(fixtures, 'digits', 'val');

/** int8 rounds boxes and scores: half a point, as asked of it. */
const slack = 0.005;

describe('quantize', function () {
  this.timeout(900_000);
  let folder: string;
  let output: string;
  let report: QuantizeReport;
  allInAFolder('quantize', (made) => (folder = made));
  before(async function () {
    skipUnlessCpuComputes(this, 'int8');
    output = join(folder, 'digits.int8.pth');
    report = await quantize({ images: join(fixtures, 'digits', 'train'), output });
  });

  async function averagePrecision(weights: string, precision: 'fp32' | 'int8', flip: boolean): Promise<number> {
    const annotations = await readAnnotations(join(pictures, 'annotations.json'));
    const set = await detectSet(annotations, pictures, weights, { device: 'cpu', precision, flip, scoreThreshold: 0, batchSize: 8 });
    return evaluateChecked(annotations, set.detections).stats.AP;
  }

  for (const view of ['plain', 'flip'] as const) {
    it(`${view}: int8 keeps fp32's AP`, async () => {
      const fp32 = await averagePrecision(defaultWeights(), 'fp32', view === 'flip');
      const int8 = await averagePrecision(output, 'int8', view === 'flip');
      console.log(`      AP ${int8.toFixed(4)} in int8, ${fp32.toFixed(4)} in fp32`);
      assert.ok(Math.abs(int8 - fp32) <= slack, `${int8} against ${fp32} in fp32`);
    });
  }

  it('the checkpoint keeps classes and settings, is int8 by default, and is exactly the original in fp32', async () => {
    await using original = await Detector.load(defaultWeights(), { precision: 'fp32', device: 'cpu' });
    await using calibrated = await Detector.load(output, { device: 'cpu' });
    await using exact = await Detector.load(output, { precision: 'fp32', device: 'cpu' });
    assert.equal(calibrated.precision, 'int8');
    assert.deepEqual(calibrated.classes, original.classes);
    assert.ok(calibrated.memory.weightsBytes < 0.4 * original.memory.weightsBytes, `${calibrated.memory.weightsBytes} bytes of weights`);
    const picture = join(pictures, '0002.jpg');
    // Equalised scales are powers of two: fp32 rounds nothing else because of them.
    assert.deepEqual((await exact.heads(picture)).tlHeat.values, (await original.heads(picture)).tlHeat.values);
  });

  it('int8 does not depend on threads, batch mates and repetition', async () => {
    const files = ['0002.jpg', '0003.jpg', '0007.jpg'].map((name) => join(pictures, name));
    await using one = await Detector.load(output, { device: 'cpu', threads: 1 });
    await using two = await Detector.load(output, { device: 'cpu', threads: 2 });
    const alone = await one.detect(files[0] as string);
    assert.deepEqual(await one.detect(files[0] as string), alone);
    assert.deepEqual((await two.detect(files))[0], alone);
  });

  it('reports ways, layers and what both networks find', () => {
    const { trials, layers, heads, agreement, int8Share } = report;
    assert.ok(trials.length > 8 && trials.some(({ chosen }) => chosen));
    const least = Math.min(...trials.filter(({ chosen }) => chosen).map(({ error }) => error));
    assert.equal(trials.filter(({ chosen }) => chosen).at(-1)?.error, least);
    assert.equal(heads.length, 6);
    assert.ok(int8Share > 0.7 && int8Share < 1, `${int8Share} of the operations in 8 bits`);
    assert.ok(Math.abs(layers.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
    assert.ok(layers.every(({ error, rounding }) => error >= 0 && rounding >= 0 && error < 1));
    assert.equal(layers.find(({ name }) => name === 'backbone.stem.0.conv')?.int8, false);
    assert.ok(agreement.detections > 0 && agreement.found > 0.95 && agreement.confirmed > 0.95, JSON.stringify(agreement));
    const nothing = summaryOf({ ...report, agreement: agreementOf([[], []], [[], []], 0.3) });
    assert.match(nothing, /; fp32 detects nothing in 2 pictures, so that there is nothing to compare\.$/);
  });

  it('refuses int8 without a calibration, saying what to do', async () => {
    await assert.rejects(Detector.load(defaultWeights(), { precision: 'int8', device: 'cpu' }), {
      code: 'ERR_OPTION',
      message: /needs a calibrated checkpoint.*cornernet quantize --weights/,
    });
  });

  it('refuses no pictures, unreadable ones, wrong options and places that cannot be written', async () => {
    const wrong = join(folder, 'wrong.pth');
    await assert.rejects(quantize({ images: join(fixtures, 'hourglass104', '*.json'), output: wrong }), { code: 'ERR_INPUT' });
    await assert.rejects(quantize({ images: pictures, output: join(folder, 'nowhere', 'a.pth') }), { code: 'ERR_WRITE' });
    await assert.rejects(quantize({ images: pictures, output: wrong, wideShare: 2 }), { code: 'ERR_OPTION' });
    await assert.rejects(quantize({ images: pictures, outputs: wrong } as never), { code: 'ERR_OPTION' });
    await assert.rejects(quantize({ images: pictures, output: wrong, weights: join(pictures, '0002.jpg') }), { code: 'ERR_CHECKPOINT' });
    assert.deepEqual(readdirSync(folder), ['digits.int8.pth']);
  });

  it('an abort ends it and leaves nothing', async () => {
    const aborter = new AbortController();
    const reason = new Error('enough');
    const onProgress = (): void => aborter.abort(reason);
    const running = quantize({ images: pictures, output: join(folder, 'aborted.pth') }, { signal: aborter.signal, onProgress });
    await assert.rejects(running, reason);
    assert.deepEqual(readdirSync(folder), ['digits.int8.pth']);
  });
});
