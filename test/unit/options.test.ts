// Options: what is refused and how, and which of several sources counts.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

import type { CornerNetError } from '../../lib/errors.js';
import { Detector, quantize, type LoadOptions } from '../../lib/index.js';
import { runBatch, runWorker, verifyBatch } from '../../lib/jobs.js';
import { checkDetectAllOptions, checkDetectOptions, checkHeadsOptions, checkLoadOptions, resolveClasses } from '../../lib/options/check.js';
import { loadOptionsOf } from '../../lib/options/flags.js';
import { train } from '../../lib/train.js';
import { fixtures } from '../environment.js';
import { refusal, refusalText } from '../support/refusal.js';

describe('options', () => {
  for (const [options, sentence] of [
    [{ devise: 'cpu' }, /option devise is unknown \(did you mean device\?\)/],
    [{ device: 'gpu' }, /option device is 'gpu': must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'cuda:\*'/],
    [{ device: [] }, /option device is \[\]/],
    [{ device: ['cpu', 'x'] }, /option device/],
    [{ precision: 'fp64' }, /option precision is 'fp64'.*fp32.*bf16.*fp16/],
    [{ threads: 0 }, /option threads is 0/],
    [{ threads: 1.5 }, /option threads is 1\.5/],
    [{ tf32: 'on' }, /option tf32 is 'on'.*boolean/],
    [{ deterministic: 1 }, /option deterministic is 1.*boolean/],
    [{ flip: 'yes' }, /option flip is 'yes'.*boolean/],
    [{ numerics: 'mmdet4' }, /option numerics is 'mmdet4'.*mmdet2.*mmdet3/],
    [{ scoreThreshold: 1.1 }, /option scoreThreshold is 1\.1/],
    [{ scoreThreshold: NaN }, /option scoreThreshold is NaN/],
    [{ maxPerImage: 0 }, /option maxPerImage is 0/],
    [{ cornerTopk: -1 }, /option cornerTopk is -1/],
    [{ distanceThreshold: -0.5 }, /option distanceThreshold is -0\.5/],
    [{ softNms: { sigma: 0 } }, /option softNms\.sigma is 0/],
    [{ softNms: { method: 'hard' } }, /option softNms\.method is 'hard'/],
    [{ softNms: { iouTreshold: 1 } }, /option softNms\.iouTreshold is unknown \(did you mean iouThreshold\?\)/],
    [{ classes: [] }, /option classes is \[\]/],
    [{ classes: 'cat' }, /option classes is 'cat'/],
    [{ maxPixels: 0 }, /option maxPixels is 0/],
    [{ maxSide: 0 }, /option maxSide is 0/],
    [{ scale: 5 }, /option scale is 5/],
    [{ tiles: 512 }, /option tiles is 512/],
    [{ scales: [] }, /option scales is \[\]/],
    [{ scales: [0.5, 9] }, /option scales\.1 is 9/],
    [{ tiles: true }, /option tiles is true: Invalid input: expected object/],
    [{ tiles: { sise: 9, size: 512 } }, /option tiles\.sise is unknown \(did you mean size\?\)/],
    [{ tiles: { overlap: 9 } }, /option tiles\.size is missing/],
    [{ tiles: { size: 512, overlap: 300 } }, /option tiles\.overlap is 300: must be at most half of size/],
    [{ mean: [1, 2] }, /option mean is \[1,2\]/],
    [{ std: [1, 0, 1] }, /option std\.1 is 0/],
    [{ batchSize: 2000 }, /option batchSize is 2000.*1024/],
    [{ batchSize: 'all' }, /option batchSize is 'all'/],
    [{ cudaGraphs: 1 }, /option cudaGraphs is 1.*boolean/],
    [{ classNames: [''] }, /option classNames\.0 is ''/],
    [{ signal: {} }, /option signal/],
    [null, /option the whole is null/],
    ['digits', /option the whole is 'digits'/],
  ] as [LoadOptions, RegExp][]) {
    it(`${JSON.stringify(options)} is refused`, () => {
      assert.throws(() => checkLoadOptions(options), { name: 'CornerNetError', code: 'ERR_OPTION', message: sentence });
    });
  }

  it('each call knows its own options only', () => {
    const refuses = (options: object, message: RegExp): void =>
      assert.throws(() => checkDetectOptions(options), { name: 'CornerNetError', code: 'ERR_OPTION', message });
    refuses({ device: 'cpu' }, /option device is unknown: it belongs to Detector\.load/);
    refuses({ concurrency: 2 }, /option concurrency is unknown: it belongs to detectAll/);
    assert.equal(checkDetectAllOptions({ concurrency: 2 }).concurrency, 2);
    assert.equal(checkDetectOptions({ flip: undefined }).flip, undefined);
    assert.throws(() => checkHeadsOptions({ flip: true }), { code: 'ERR_OPTION', message: /option flip is unknown: it belongs to detect/ });
    assert.equal(checkHeadsOptions({ maxSide: 99 }).maxSide, 99);
  });

  it("what may be said and heard beside a job's options is checked as they are", async () => {
    const output = join(fixtures, 'none');
    const runs = {
      runBatch: (controls: object) => runBatch({ inputs: [fixtures], output }, controls),
      runWorker: (controls: object) => runWorker({ queue: { url: 'redis://127.0.0.1:1' }, ...controls }),
      verifyBatch: (controls: object) => verifyBatch(output, controls),
      train: (controls: object) => train({ images: fixtures, annotations: 'none.json', output }, controls),
      quantize: (controls: object) => quantize({ images: fixtures, output: `${output}.pth` }, controls),
    };
    for (const [name, run] of Object.entries(runs)) {
      const refused = async (controls: object): Promise<string> => `${name}: ${await refusalText(run(controls))}`;
      assert.match(await refused({ signal: new AbortController() }), /: ERR_OPTION: option signal is \[object AbortController\]/);
      assert.match(await refused({ onprogress: () => undefined }), /: ERR_OPTION: (worker )?option onprogress is unknown/);
      if (name !== 'quantize')
        assert.match(await refused({ onMessage: 'all' }), /: ERR_OPTION: option onMessage is 'all': must be a function/);
    }
    assert.match(await refusalText(runs.runBatch({ finish: new AbortController() })), /option finish is \[object AbortController\]/);
    for (const none of [undefined, null])
      await assert.rejects(runWorker(none as never), { code: 'ERR_OPTION', message: 'worker option queue is missing' });
  });

  it('what the weights do not fit is refused on loading', async () => {
    const load = (options: LoadOptions): Promise<CornerNetError> => refusal(Detector.load('digits', { device: 'cpu', ...options }));
    assert.match((await load({ classes: ['cat'] })).message, /option classes has 'cat', but these weights detect 0, 1, 2.*ids 0 to 9/);
    assert.match((await load({ classes: [10] })).message, /option classes has 10/);
    assert.match((await load({ classNames: ['a', 'b'] })).message, /classNames has 2 names, but the weights detect 10 classes/);
    assert.equal((await load({ precision: 'fp16' })).code, 'ERR_DEVICE');
    assert.equal((await refusal(Detector.load('nothing.pth'))).code, 'ERR_WEIGHTS');
    assert.equal((await refusal(Detector.load(join(fixtures, 'photos', 'chelsea.png')))).code, 'ERR_CHECKPOINT');
  });

  it('a call counts over the load, the load over the weights; undefined counts nothing', async () => {
    const picture = join(fixtures, 'digits', 'val', '0002.jpg');
    await using plain = await Detector.load('digits', { device: 'cpu', precision: 'fp32' });
    const views = async (work: () => Promise<unknown>, detector = plain): Promise<number> => {
      const before = detector.stats.views;
      await work();
      return detector.stats.views - before;
    };
    const least = (found: readonly { score: number }[]): number => Math.min(...found.map(({ score }) => score));
    assert.equal(await views(() => plain.detect(picture)), 1); // the digits' manifest entry says flip: false
    assert.equal(await views(() => plain.detect(picture, { flip: true })), 2);
    assert.equal(await views(() => plain.detect(picture, { flip: undefined })), 1);
    assert.ok(least((await plain.detect(picture)).detections) >= 0.5);
    assert.ok(least((await plain.detect(picture, { scoreThreshold: 0 })).detections) < 0.1);
    assert.equal((await plain.detect(picture, { scoreThreshold: 0, maxPerImage: 3 })).detections.length, 3);

    await using flipping = await Detector.load('digits', {
      device: 'cpu',
      precision: 'fp32',
      flip: true,
      scoreThreshold: 0.2,
      classes: ['3', 0],
    });
    assert.equal(await views(() => flipping.detect(picture), flipping), 2);
    assert.equal(await views(() => flipping.detect(picture, { flip: false }), flipping), 1);
    const all = (await plain.detect(picture, { scoreThreshold: 0.2, flip: true })).detections;
    assert.deepEqual(
      (await flipping.detect(picture)).detections,
      all.filter(({ classId }) => classId === 3 || classId === 0),
    );
  });

  it('a deterministic detector gives the same bits each time', async () => {
    await using detector = await Detector.load('digits', { deterministic: true, tf32: true, scoreThreshold: 0, flip: true });
    const picture = join(fixtures, 'digits', 'val', '0002.jpg');
    const first = await detector.detect(picture);
    assert.ok(first.detections.length > 10);
    for (let again = 0; again < 3; again++) assert.deepEqual(await detector.detect(picture), first);
  });

  it('classes are called by the option, the checkpoint, COCO, or by number', async () => {
    const letters = 'a b c d e f g h i j'.split(' ');
    await using named = await Detector.load('digits', { device: 'cpu', classNames: letters });
    assert.deepEqual(named.classes, letters);
    await using digits = await Detector.load('digits', { device: 'cpu' });
    assert.deepEqual(
      digits.classes,
      Array.from({ length: 10 }, (_, digit) => String(digit)),
    );
    assert.ok(!digits.isCoco);
  });

  it('--classes takes a name first, and digits for an id where no class is called so', () => {
    const { classes } = loadOptionsOf({ classes: ['1'] });
    assert.ok(classes);
    assert.deepEqual(resolveClasses(classes, ['1', '2', '3']), [0]);
    assert.deepEqual(resolveClasses(classes, ['person', 'bicycle', 'car']), [1]);
    assert.deepEqual(resolveClasses([1], ['1', '2', '3']), [1]);
    for (const none of ['3', 'caar', '']) assert.throws(() => resolveClasses([none], ['person', 'bicycle', 'car']), /option classes has/);
    assert.throws(() => resolveClasses(['caar'], ['person', 'bicycle', 'car']), /'caar' \(did you mean car\?\)/);
    const digits = Array.from('0123456789');
    for (const none of ['10', '', 'x']) assert.throws(() => resolveClasses([none], digits), /option classes has '\w*', but/);
    assert.throws(
      () => resolveClasses(['a', 'b'], ['c', 'a,b']),
      /has 'a'.* detect c, a,b \(ids 0 to 1, which do for names with commas too\)$/,
    );
  });
});
