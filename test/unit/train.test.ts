// Training's plan: learning rates, orders, which pictures count, options.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

import sharp from 'sharp';

import { evaluateDetections } from '../../lib/coco.js';
import { checkAnnotations, readAnnotations, readDetections, readNames, type CocoAnnotations } from '../../lib/coco/dataset.js';
import { picturesBelow } from '../../lib/coco/pictures.js';
import { readJob } from '../../lib/jobs/job.js';
import { lineOf } from '../../lib/jobs/lines.js';
import { batchesOf, batchOrder, type TrainBatch } from '../../lib/train/batches.js';
import { openLog } from '../../lib/train/log.js';
import { membershipOf } from '../../lib/train/membership.js';
import { checkTrainOptions } from '../../lib/train/options.js';
import { compareConfig, configOf, optionsIn, planOf } from '../../lib/train/plan.js';
import { permutation, seedOf } from '../../lib/random.js';
import { LeftOut } from '../../lib/left-out.js';
import { classesOf, decodeSample, picturesOf } from '../../lib/train/samples.js';
import { learningRates } from '../../lib/train/schedule.js';
import { readValidation } from '../../lib/train/validate.js';
import { fixtures } from '../environment.js';
import { eachInAFolder } from '../support/scratch.js';

const folder = join(fixtures, 'training');
const needed = { images: folder, annotations: 'a.json', output: 'run' };

describe('training', () => {
  let scratch: string;
  eachInAFolder('training', (made) => (scratch = made));

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
    const one = learningRates({ rate: 1, warmup: 1, milestones: [] });
    assert.deepEqual([one.next().value, one.next().value], [1, 1]);
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

  it('processes have parts of the same batches, augmented the same', async () => {
    const pictures = Array.from({ length: 6 }, (_, i) => ({
      name: `picture${i}.png`,
      file: join(folder, `picture${i}.png`),
      objects: [{ box: [1, 1, 20, 20], category: 'a' } as const],
    }));
    const part = async (rank: number, processes: number) => {
      const batches: { names: readonly string[]; seeds: number[] }[] = [];
      const seeds: number[][] = [];
      const prepare = ({ iteration, samples }: TrainBatch) => {
        seeds[iteration] = samples.map(({ seed }) => seed);
        return iteration === 1 ? Promise.reject(new Error('unprepared')) : Promise.resolve(iteration);
      };
      for await (const batch of batchesOf(pictures, new Map(), { batchSize: 4, seed: 5 }, { rank, processes }, 0, 3, prepare)) {
        const { iteration, names, prepared } = batch;
        if (iteration === 1) await assert.rejects(prepared, { message: 'unprepared' });
        else assert.equal(await prepared, iteration);
        batches.push({ names, seeds: seeds[iteration] ?? [] });
      }
      return batches;
    };
    const [whole, first, second] = [await part(0, 1), await part(0, 2), await part(1, 2)];
    whole.forEach(({ names, seeds }, i) => {
      assert.equal(names.length, 4);
      assert.deepEqual([...(first[i]?.names ?? []), ...(second[i]?.names ?? [])], names);
      assert.deepEqual([...(first[i]?.seeds ?? []), ...(second[i]?.seeds ?? [])], seeds);
    });
  });

  it("torchrun's variables say which process this is", () => {
    const variables = { RANK: '1', WORLD_SIZE: '3', MASTER_ADDR: 'host', MASTER_PORT: '29500' };
    const { rank, processes, address, port, hosted } = membershipOf(variables, 300, 0) ?? {};
    assert.deepEqual({ rank, processes, address, port, hosted }, { rank: 1, processes: 3, address: 'host', port: 29500, hosted: false });
    const elastic = { TORCHELASTIC_USE_AGENT_STORE: 'True', TORCHELASTIC_RUN_ID: 'none', TORCHELASTIC_RESTART_COUNT: '2' };
    const kept = membershipOf({ ...variables, ...elastic }, 300, 3);
    assert.deepEqual([kept?.hosted, kept?.prefix], [true, 'none/2/3']);
    for (const alone of [{}, { MASTER_ADDR: 'host', MASTER_PORT: '1' }, { ...variables, RANK: '0', WORLD_SIZE: '1' }])
      assert.equal(membershipOf(alone, 300, 0), undefined);
    const refuses = (more: object, message: RegExp): void =>
      assert.throws(() => membershipOf({ ...variables, ...more }, 300, 0), { code: 'ERR_OPTION', message });
    refuses({ WORLD_SIZE: undefined, MASTER_PORT: '' }, /has RANK and MASTER_ADDR but no WORLD_SIZE, no MASTER_PORT: /);
    refuses({ RANK: '3' }, /says RANK 3 of a WORLD_SIZE of 3: ranks count from 0 to 2/);
    refuses({ RANK: '-1' }, /variable RANK is "-1", not a whole number from 0/);
    refuses({ MASTER_PORT: '70000' }, /variable MASTER_PORT is "70000"/);
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

  it('what mmdetection passes over is left out, counted and named', async () => {
    const leftOut = new LeftOut();
    const pictures = await picturesOf(
      dataset([
        annotation(1, 1, [-10, 5, 30, 30]),
        annotation(2, 1, [200, 5, 30, 30]),
        annotation(3, 1, [5, 5, 9, 9], { iscrowd: 1 }),
        annotation(4, 77, [5, 5, 9, 9]),
        annotation(5, 2, [5, 5, 9, 0]),
        annotation(6, 1, [5, 5, 9, 9], { ignore: true }),
        annotation(7, 1, [5, 5, 0.5, 9]),
        annotation(8, 1, [5, 5, 9, 9], { area: 0 }),
      ]),
      folder,
      leftOut,
    );
    assert.deepEqual(
      pictures.map(({ name, objects }) => [name, objects]),
      [['picture0.png', [{ box: [-10, 5, 20, 35], category: 'a' }]]],
    );
    assert.equal(leftOut.sentences.length, 5);
    assert.match(leftOut.sentences.join('\n'), /4 boxes lie outside.*id 2, in picture0.png/);
    assert.match(leftOut.sentences.join('\n'), /1 annotations are to be ignored \(the first: id 6, in picture0.png/);
    assert.match(leftOut.sentences.join('\n'), /1 pictures have no object to learn \(the first: picture1.png\)/);
  });

  it('a file has null for what is optional, booleans for 0 and 1, and boxes of a negative size', async () => {
    const [optional, size] = [
      { area: null, iscrowd: null, ignore: null },
      { width: null, height: null },
    ];
    const given = dataset([
      annotation(1, 1, [1, 1, 9, 9], optional),
      annotation(2, 1, [20, 5, -9, 9], { iscrowd: false }),
      annotation(3, 1, [5, 5, 9, 9], { area: -81 }),
      annotation(4, 1, [5, 5, 9, 9], { iscrowd: true }),
    ]);
    const read = (value: object): CocoAnnotations => checkAnnotations(value, 'a.json');
    const leftOut = new LeftOut();
    const pictures = await picturesOf(read({ ...given, images: given.images.map((one) => ({ ...one, ...size })) }), folder, leftOut);
    assert.deepEqual(pictures.map(({ objects }) => objects), [[{ box: [1, 1, 10, 10], category: 'a' }]]); // prettier-ignore
    assert.match(leftOut.sentences.join('\n'), /2 boxes .* have no area .*id 2.*\n1 annotations are crowds \(the first: id 4/);
    const { warnings } = evaluateDetections(read(given), []);
    assert.match(warnings.join('\n'), /2 annotations have a negative width, height or area; .*id 2/);
    assert.throws(() => read(dataset([annotation(1, 1, [1, 1, 9, 9], { iscrowd: '0' })])), {
      code: 'ERR_INPUT',
      message: "a.json: annotations.0.iscrowd is '0': expected 0 or 1",
    });
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
    await assert.rejects(outside(''), { code: 'ERR_INPUT', message: /an empty file_name for the picture 1/ });
    await assert.rejects(outside('a\0.png'), { code: 'ERR_INPUT', message: /1 of 1 annotated pictures are not in/ });
  });

  it('pictures may be named by their whole paths, also where the folder is a link', async () => {
    const link = join(scratch, 'link');
    await symlink(folder, link);
    const images = [image(1, join(folder, 'picture0.png')), image(2, 'picture1.png')];
    for (const root of [folder, link, relative('.', folder)]) {
      const [first, second] = await picturesBelow(root, { images });
      assert.deepEqual([first, second], [images[0]?.file_name, join(root, 'picture1.png')]);
    }
  });

  it('classes are the categories in the order of their ids', async () => {
    assert.deepEqual(classesOf(dataset([])), ['a', 'b']);
    const twice = { ...dataset([]), categories: [{ id: 1, name: 'a' }, { id: 2, name: 'a' }] }; // prettier-ignore
    assert.throws(() => classesOf(twice), { code: 'ERR_INPUT', message: /two categories .* called a/ });
    const file = join(scratch, 'twice.json');
    await writeFile(file, JSON.stringify(twice));
    await assert.rejects(readValidation(folder, file, ['a'], 1), {
      code: 'ERR_INPUT',
      message: /two categories of .*twice.json are called a/,
    });
  });

  it('boxes are cut to the picture as it is, whatever the annotations say of its size', async () => {
    const file = join(folder, 'picture0.png');
    const object = (box: [number, number, number, number]) => ({ name: 'picture0.png', file, objects: [{ box, category: 'a' }] });
    const { boxes, picture } = await decodeSample(object([10, 20, 500, 50]), new Map([['a', 3]]));
    assert.deepEqual([...boxes, picture.width], [10, 20, 127, 50, 3, 127]);
    await assert.rejects(decodeSample(object([300, 300, 400, 400]), new Map()), { code: 'ERR_INPUT', message: /no annotated object lies/ });
    const boxesOf = async (size: number, box: [number, number, number, number]): Promise<[number[], string | undefined]> => {
      const [one] = await picturesOf(dataset([annotation(1, 1, box)], [image(1, 'picture0.png', size)]), folder, new LeftOut());
      const sample = await decodeSample(one ?? object(box), new Map([['a', 3]]));
      return [[...sample.boxes], sample.resized];
    };
    const small = `${file} has 127x127 pixels, not 64x64 as the annotations state`;
    assert.deepEqual(await boxesOf(64, [10, 20, 100, 500]), [[10, 20, 110, 127, 3], small]);
    assert.deepEqual(await boxesOf(127, [-10, 20, 100, 500]), [[0, 20, 90, 127, 3], undefined]);
    const outside = /picture0.png has 127x127 pixels, not 640x640 as the annotations state, in which no annotated object lies/;
    await assert.rejects(boxesOf(640, [300, 300, 40, 40]), { code: 'ERR_INPUT', message: outside });
  });

  it('pictures turn out too small where the annotations do not say so', async () => {
    const file = join(scratch, 'narrow.png');
    await sharp({ create: { width: 200, height: 31, channels: 3, background: 'white' } }).toFile(file);
    const objects = [{ box: [1, 1, 20, 20], category: 'a' } as const];
    await assert.rejects(decodeSample({ name: 'narrow.png', file, objects }, new Map([['a', 0]])), {
      code: 'ERR_INPUT',
      message: /narrow.png has 200x31 pixels, less than 32 on a side/,
    });
  });

  it('a line of the log that can not be read costs no other', async () => {
    const path = join(scratch, 'log.jsonl');
    const [first, second, third, later] = [1, 2, 3, 4].map((iteration) => lineOf({ iteration, AP: 0.5, AP50: 1, AP75: 0, best: true }));
    const damaged = second?.replace('0.5', '0.6') ?? '';
    const open = async (lines: readonly (string | undefined)[]): Promise<[number[], string[], string]> => {
      await writeFile(path, lines.join(''));
      const said: string[] = [];
      const { validations, file } = await openLog(scratch, 3, (text) => said.push(text));
      await file.close();
      return [validations.map(({ iteration }) => iteration), said, await readFile(path, 'utf8')];
    };
    const sentence = `passing over 1 line of ${path} that can't be read`;
    assert.deepEqual(await open([first, damaged, third, later]), [[1, 3], [sentence], [first, damaged, third].join('')]);
    assert.deepEqual(await open([first, third, damaged, later, 'cut']), [[1, 3], [sentence], [first, third].join('')]);
  });

  it('a picture with more objects than can be compared with each other is left out', async () => {
    const crowd = Array.from({ length: 4097 }, (_, i) => annotation(i + 1, 1, [1, 1, 9, 9]));
    const leftOut = new LeftOut();
    const pictures = await picturesOf(dataset([...crowd, annotation(9999, 2, [1, 1, 9, 9])]), folder, leftOut);
    assert.deepEqual(pictures.map(({ name }) => name), ['picture1.png']); // prettier-ignore
    assert.match(leftOut.sentences.join(), /1 pictures have more than 4096 objects \(the first: picture0.png\)/);
  });

  it('however many categories there are, they are looked at once', () => {
    const categories = Array.from({ length: 400_000 }, (_, id) => ({ id, name: `class ${id}` }));
    assert.equal(classesOf({ ...dataset([]), categories }).length, 400_000);
  });

  it('what is no regular file is never waited for', async () => {
    const fifo = join(scratch, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const read of [readAnnotations, readDetections, readNames, optionsIn])
      await assert.rejects(read(fifo), { code: 'ERR_INPUT', message: /a FIFO, not a regular file/ });
    execFileSync('mkfifo', [join(scratch, 'log.jsonl'), join(scratch, 'job.json')]);
    await assert.rejects(
      openLog(scratch, 0, () => undefined),
      { code: 'ERR_INPUT', message: /log.jsonl can't be read: it is a FIFO/ },
    );
    await assert.rejects(readJob(scratch), { code: 'ERR_JOB', message: /it is a FIFO/ });
  });

  it('JSON may begin with a byte order mark; what is too long, compressed or UTF-16 is called so', async () => {
    const file = join(scratch, 'a.json');
    const text = JSON.stringify(dataset([]));
    await writeFile(file, `\uFEFF${text}`);
    assert.equal((await readAnnotations(file)).images.length, 2);
    const refused = async (content: string | Buffer, reason: RegExp): Promise<void> => {
      await writeFile(file, content);
      await assert.rejects(readAnnotations(file), { code: 'ERR_INPUT', message: reason });
    };
    for (const utf16 of [Buffer.from(`\uFEFF${text}`, 'utf16le'), Buffer.from(text, 'utf16le'), Buffer.from(text, 'utf16le').swap16()])
      await refused(utf16, /a\.json can't be read as JSON: it is UTF-16, or no text at all, and not UTF-8$/);
    await refused(gzipSync(text), /a\.json can't be read as JSON: it is compressed by gzip$/);
    await truncate(file, 600 * 2 ** 20);
    await assert.rejects(readAnnotations(file), { code: 'ERR_INPUT', message: /it has 600 MiB, and no more than 512 can be read$/ });
  });

  it('options are checked', () => {
    const refuses = (options: object, message: RegExp): void =>
      assert.throws(() => checkTrainOptions({ ...needed, ...options }), { code: 'ERR_OPTION', message });
    refuses({ learningRte: 1 }, /learningRte is unknown \(did you mean learningRate\?\)/);
    refuses({ output: undefined }, /output is missing/);
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
    const together = await planOf({ ...needed, preset: '8x6' }, 100, 8);
    assert.deepEqual([together.settings.learningRate, together.settings.batchSize, together.epochLength], [5e-4, 6, 3]);
  });

  it('a folder goes on with its own settings only; a configuration file gives its options again', async () => {
    const plan = await planOf({ ...needed, iterations: 5 }, 10);
    const object = { box: [1, 1, 20, 20], category: 'a' } as const;
    const pictures = [{ name: 'a.png', file: 'a.png', objects: [object] }];
    const material = (classes: string[]) => ({ pictures, classes, validation: undefined });
    const config = JSON.parse(JSON.stringify(configOf(plan, material(['a'])))) as ReturnType<typeof configOf>;
    compareConfig('run', config, configOf(plan, material(['a'])));
    assert.equal(config.options['annotations'], resolve('a.json'));
    const known = configOf({ ...plan, settings: { ...plan.settings, images: 'digits', from: 'digits' } }, material(['a'])).options;
    assert.deepEqual([known['images'], known['from']], [resolve('digits'), 'digits']);
    const before = { ...config, options: { ...config.options, annotations: 'a.json' } };
    compareConfig('run', before, configOf(plan, material(['a']))); // from before paths were kept in full
    compareConfig('run', { ...config, options: { ...config.options, annotations: '/elsewhere/a.json', images: '/elsewhere' } }, config); // moved
    assert.throws(() => compareConfig('run', { ...config, options: { ...config.options, valAnnotations: '/b.json' } }, config), {
      code: 'ERR_JOB',
      message: /begun otherwise: valAnnotations was "\/b\.json" and is not given;/,
    });
    const more = configOf(plan, { ...material(['a']), pictures: [...pictures, ...pictures] });
    assert.throws(() => compareConfig('run', config, more), {
      code: 'ERR_JOB',
      message: /begun otherwise: .*a\.json has other annotations;/,
    });
    const earlier = { ...config, annotationsSha256: undefined }; // a folder from before they were kept
    compareConfig('run', earlier, more);
    const moved = { ...more, options: { ...more.options, images: '/elsewhere' } };
    assert.throws(() => compareConfig('run', earlier, moved), { code: 'ERR_JOB', message: /begun otherwise: images was/ });
    const other = await planOf({ ...needed, iterations: 5, seed: 3 }, 10);
    assert.throws(() => compareConfig('run', config, configOf(other, material(['a']))), {
      code: 'ERR_JOB',
      message: /begun otherwise: seed was 0 and is 3;/,
    });
    assert.throws(() => compareConfig('run', config, configOf(plan, material(['b']))), { code: 'ERR_JOB', message: /the classes was/ });
    const file = join(scratch, 'config.json');
    await writeFile(file, JSON.stringify(config));
    const again = await planOf({ ...needed, ...(await optionsIn(file)) }, 10);
    assert.deepEqual(JSON.parse(JSON.stringify(again.settings)), config.options);
    await writeFile(file, '{"epcohs": 3}');
    await assert.rejects(optionsIn(file), { code: 'ERR_OPTION', message: /epcohs is unknown/ });
    for (const none of ['null', '[]', '3', '"a"']) {
      await writeFile(file, none);
      await assert.rejects(optionsIn(file), { code: 'ERR_INPUT', message: /expected record/ });
    }
    await writeFile(file, 'no JSON');
    await assert.rejects(optionsIn(file), { code: 'ERR_INPUT', message: /can't be read as JSON/ });
  });
});
