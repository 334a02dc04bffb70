// Training's plan: learning rates, orders, which pictures count, options.
import { strict as assert } from 'node:assert';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { CocoAnnotations } from '../../lib/coco/dataset.js';
import { batchOrder } from '../../lib/train/batches.js';
import { checkTrainOptions } from '../../lib/train/options.js';
import { compareConfig, configOf, optionsIn, planOf } from '../../lib/train/plan.js';
import { permutation, seedOf } from '../../lib/train/random.js';
import { classesOf, decodeSample, LeftOut, picturesOf } from '../../lib/train/samples.js';
import { learningRates } from '../../lib/train/schedule.js';
import { fixtures } from '../environment.js';

const folder = join(fixtures, 'training');
const needed = { images: folder, annotations: 'a.json', output: 'run' };

describe('training', () => {
  it("learning rates are mmengine's to the last digit", async () => {
    const reference = JSON.parse(await readFile(join(folder, 'reference.json'), 'utf8')) as { learning_rates: Record<string, number> };
    const wanted = Object.entries(reference.learning_rates);
    assert.ok(wanted.length > 5);
    const rates = learningRates({ rate: 5e-4, warmup: 500, milestones: [] });
    const all = Array.from({ length: 520 }, () => rates.next().value);
    for (const [iteration, rate] of wanted) assert.equal(all[Number(iteration)], rate, `iteration ${iteration}`);
  });

  it('milestones multiply the rate', () => {
    const rates = learningRates({ rate: 1, warmup: 0, milestones: [[2, 0.5], [4, 0.5]] }); // prettier-ignore
    assert.deepEqual(
      Array.from({ length: 6 }, () => rates.next().value),
      [1, 1, 0.5, 0.5, 0.25, 0.25],
    );
  });

  it('every epoch has every picture, in an order of its own', () => {
    const order = batchOrder(10, { batchSize: 4, seed: 7 });
    const epochs = [0, 1].map((epoch) => [0, 1, 2].flatMap((step) => order(3 * epoch + step)));
    for (const epoch of epochs)
      assert.deepEqual(
        [...new Set(epoch)].sort((a, b) => a - b),
        [...Array(10).keys()],
      );
    assert.notDeepEqual(epochs[0], epochs[1]);
    assert.deepEqual(order(1), batchOrder(10, { batchSize: 4, seed: 7 })(1));
    assert.notDeepEqual([...permutation(50, 1, 0)], [...permutation(50, 2, 0)]);
  });

  it('seeds of places differ and are whole numbers', () => {
    const seeds = Array.from({ length: 20_000 }, (_, i) => seedOf(3, Math.floor(i / 8), i % 8));
    assert.equal(new Set(seeds).size, seeds.length);
    assert.ok(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0));
  });

  const image = (id: number, file_name: string, size = 127) => ({ id, file_name, width: size, height: size });
  const annotation = (id: number, image_id: number, bbox: [number, number, number, number], more = {}) => ({
    id,
    image_id,
    category_id: 5,
    bbox,
    ...more,
  });
  const dataset = (annotations: CocoAnnotations['annotations'], images = [image(1, 'picture0.png'), image(2, 'picture1.png')]) =>
    ({ images, annotations, categories: [{ id: 9, name: 'b' }, { id: 5, name: 'a' }] }) satisfies CocoAnnotations; // prettier-ignore

  it('pictures without objects, crowds and boxes outside are left out, counted and named', async () => {
    const leftOut = new LeftOut();
    const pictures = await picturesOf(
      dataset([
        annotation(1, 1, [-10, 5, 30, 30]),
        annotation(2, 1, [200, 5, 30, 30]),
        annotation(3, 1, [5, 5, 9, 9], { iscrowd: 1 }),
        annotation(4, 77, [5, 5, 9, 9]),
        annotation(5, 2, [5, 5, 9, 0]),
      ]),
      folder,
      leftOut,
    );
    assert.deepEqual(
      pictures.map(({ name, objects }) => [name, objects]),
      [['picture0.png', [{ box: [0, 5, 20, 35], category: 'a' }]]],
    );
    assert.equal(leftOut.sentences.length, 4);
    assert.match(leftOut.sentences.join('\n'), /2 boxes lie outside.*id 2, in picture0.png/);
    assert.match(leftOut.sentences.join('\n'), /1 pictures have no object to learn \(the first: picture1.png\)/);
  });

  it('missing pictures, and none to learn from, are refused', async () => {
    await assert.rejects(picturesOf(dataset([annotation(1, 1, [1, 1, 9, 9])], [image(1, 'nowhere.png')]), folder, new LeftOut()), {
      code: 'ERR_INPUT',
      message: /1 of 1 annotated pictures are not in .*nowhere.png/,
    });
    await assert.rejects(picturesOf(dataset([]), folder, new LeftOut()), {
      code: 'ERR_INPUT',
      message: /none of the 2 annotated pictures/,
    });
  });

  it('pictures outside their folder are refused, whatever the annotations say', async () => {
    const outside = (name: string) => picturesOf(dataset([annotation(1, 1, [1, 1, 9, 9])], [image(1, name)]), folder, new LeftOut());
    for (const name of ['../hourglass52_tiny_mmdet2.json', '/etc/hostname', 'a/../../digits/val/0076.jpg']) {
      await assert.rejects(outside(name), { code: 'ERR_INPUT', message: /which is outside/ });
    }
  });

  it('classes are the categories in the order of their ids', () => {
    assert.deepEqual(classesOf(dataset([])), ['a', 'b']);
    const twice = { ...dataset([]), categories: [{ id: 1, name: 'a' }, { id: 2, name: 'a' }] }; // prettier-ignore
    assert.throws(() => classesOf(twice), { code: 'ERR_INPUT', message: /two categories .* called a/ });
  });

  it('boxes are cut to the picture as it is, whatever the annotations say of its size', async () => {
    const file = join(folder, 'picture0.png');
    const object = (box: [number, number, number, number]) => ({ name: 'picture0.png', file, objects: [{ box, category: 'a' }] });
    const { boxes, picture } = await decodeSample(object([10, 20, 500, 50]), new Map([['a', 3]]));
    assert.deepEqual([...boxes, picture.width], [10, 20, 127, 50, 3, 127]);
    await assert.rejects(decodeSample(object([300, 300, 400, 400]), new Map()), { code: 'ERR_INPUT', message: /no annotated object lies/ });
  });

  it('options are checked', () => {
    const refuses = (options: object, message: RegExp): void =>
      assert.throws(() => checkTrainOptions({ ...needed, ...options }), { code: 'ERR_OPTION', message });
    refuses({ learningRte: 1 }, /learningRte is unknown \(did you mean learningRate\?\)/);
    refuses({ output: undefined }, /output is undefined/);
    refuses({ epochs: 1, iterations: 1 }, /iterations is instead of epochs/);
    refuses({ valImages: 'val' }, /valImages needs valAnnotations/);
    refuses({ from: 'digits', architecture: { stacks: 1 } }, /`from` brings its own/);
    refuses({ architecture: { stageChannels: [8, 8] } }, /differ in length/);
    refuses({ crop: 8 }, /crop is 8/);
  });

  it('presets have the published rate for the whole batch, in proportion to this one', async () => {
    const { settings, epochLength, schedule } = await planOf({ ...needed, preset: '10x5' }, 1001);
    assert.equal(epochLength, 201);
    assert.equal(settings.iterations, 210 * 201);
    assert.ok(Math.abs(settings.learningRate - 5e-5) < 1e-12);
    assert.deepEqual(schedule.milestones, [[180 * 201, 0.1]]);
    assert.equal(schedule.warmup, 500);
    assert.equal((await planOf({ ...needed, preset: '8x6', batchSize: 48 }, 100)).settings.learningRate, 5e-4);
  });

  it('a folder goes on with its own settings only; a configuration file gives its options again', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'cornernet-plan-'));
    try {
      const plan = await planOf({ ...needed, iterations: 5 }, 10);
      const config = JSON.parse(JSON.stringify(configOf(plan, ['a']))) as ReturnType<typeof configOf>;
      compareConfig('run', config, configOf(plan, ['a']));
      const other = await planOf({ ...needed, iterations: 5, seed: 3 }, 10);
      assert.throws(() => compareConfig('run', config, configOf(other, ['a'])), {
        code: 'ERR_JOB',
        message: /begun otherwise: seed was 0 and is 3;/,
      });
      assert.throws(() => compareConfig('run', config, configOf(plan, ['b'])), { code: 'ERR_JOB', message: /the classes was/ });
      const file = join(scratch, 'config.json');
      await writeFile(file, JSON.stringify(config));
      const again = await planOf({ ...needed, ...(await optionsIn(file)) }, 10);
      assert.deepEqual(JSON.parse(JSON.stringify(again.settings)), config.options);
      await writeFile(file, '{"epcohs": 3}');
      await assert.rejects(optionsIn(file), { code: 'ERR_OPTION', message: /epcohs is unknown/ });
      await writeFile(file, 'no JSON');
      await assert.rejects(optionsIn(file), { code: 'ERR_INPUT', message: /can't be read as JSON/ });
    } finally {
      await rm(scratch, { recursive: true });
    }
  });
});
