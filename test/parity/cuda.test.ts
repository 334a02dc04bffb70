// The detector on a GPU: fp32 against mmdetection, 16-bit precisions by their average precision, and what a result may not depend on.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import sharp from 'sharp';

import { detectSet } from '../../lib/coco/detect.js';
import { evaluateDetections, type CocoAnnotations } from '../../lib/coco.js';
import { Detector, type DetectionResult, type LoadOptions } from '../../lib/index.js';
import { loadNative } from '../../lib/native.js';
import { fixtures, hourglass104, orSkip, root, skipBecause, skipWithoutGpu } from '../environment.js';
import { runScript } from '../support/child.js';
import { assertSameDetections, assertSameHeads, assertSameResults, readReference, tolerance } from './reference.js';

const digits = join(fixtures, 'digits', 'val');
const photos = ['chelsea.png', 'coffee.png', 'odd127.png', 'astronaut.png'].map((name) => join(fixtures, 'photos', name));
const mixed = [...photos, ...Array.from({ length: 8 }, (_, i) => join(digits, `000${i}.jpg`))];

/** What `work` throws names `what` it was about. */
async function about(what: string, work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  });
}

/** Every picture of a reference: heads where it has them, and detections with and without flip. */
async function assertReference(file: string, reference: string, numerics: 'mmdet2' | 'mmdet3'): Promise<void> {
  await using detector = await Detector.load(file, { device: 'cuda', precision: 'fp32', scoreThreshold: 0, numerics });
  for (const [name, expected] of Object.entries(readReference(reference))) {
    const picture = join(fixtures, 'photos', name);
    await about(name, async () => {
      if (expected.heads) assertSameHeads(await detector.heads(picture), expected.heads, tolerance.heads);
      for (const view of ['plain', 'flip'] as const) {
        const { detections } = await detector.detect(picture, { flip: view === 'flip' });
        assertSameDetections(detections, expected[view]);
      }
    });
  }
}

const annotations = JSON.parse(readFileSync(join(digits, 'annotations.json'), 'utf8')) as CocoAnnotations;
const { stats: published } = JSON.parse(readFileSync(join(fixtures, 'digits', 'expected_ap.json'), 'utf8')) as {
  stats: Record<'plain' | 'flip', { AP: number }>;
};
/** 0.3 points, as on the CPU (average-precision.test.ts). */
const slack = 0.003;

async function assertAveragePrecision(precision: 'fp32' | 'fp16' | 'bf16'): Promise<void> {
  for (const view of ['plain', 'flip'] as const) {
    const options = { device: 'cuda', precision, flip: view === 'flip', batchSize: 8 } as const;
    const { detections } = await detectSet(annotations, digits, 'digits', options);
    const { AP } = evaluateDetections(annotations, detections).stats;
    assert.ok(Math.abs(AP - published[view].AP) <= slack, `${view}: ${AP} against mmdetection's ${published[view].AP}`);
  }
}

const exact = { device: 'cuda', precision: 'fp32', scoreThreshold: 0.05, flip: true } as const;

async function streamed(options: LoadOptions, batchSize: number): Promise<DetectionResult[]> {
  await using detector = await Detector.load('digits', options);
  const results: DetectionResult[] = [];
  for await (const result of detector.detectAll(mixed, { batchSize, concurrency: 12 })) {
    if ('error' in result) throw result.error;
    results.push(result);
  }
  return results;
}

describe('the detector on a GPU', function () {
  this.timeout(600_000);
  before(function () {
    skipWithoutGpu(this);
  });

  for (const numerics of ['mmdet2', 'mmdet3'] as const) {
    it(`fp32 equals mmdetection on a narrow one-stack network, ${numerics}`, () =>
      assertReference(join(fixtures, 'hourglass52_tiny.pth'), `hourglass52_tiny_${numerics}.json`, numerics));
  }

  it('fp32 equals mmdetection on HourglassNet-104', async function () {
    await assertReference(await orSkip(this, hourglass104), 'hourglass104/hourglass104_mmdet2.json', 'mmdet2');
  });

  it("fp32's average precision is mmdetection's", () => assertAveragePrecision('fp32'));

  it('fp16 keeps it', () => assertAveragePrecision('fp16'));

  it('bf16 keeps it', async function () {
    if ((loadNative().gpuInfo().devices[0]?.major ?? 0) < 8)
      skipBecause(this, 'this GPU has no bf16, which begins with compute capability 8.0');
    await assertAveragePrecision('bf16');
  });

  it('a result depends on its picture alone: not on batch mates, batch size or replicas', async () => {
    const alone: DetectionResult[] = [];
    {
      await using detector = await Detector.load('digits', exact);
      for (const picture of mixed) alone.push(await detector.detect(picture));
      assertSameResults(await detector.detect(mixed), alone);
    }
    for (const batchSize of [1, 3, 8]) {
      await about(`batches of up to ${batchSize}`, async () => assertSameResults(await streamed(exact, batchSize), alone));
    }
    for (const device of ['cuda:*', ['cuda:0', 'cuda:0']] as const) {
      await about(`on ${String(device)}`, async () => assertSameResults(await streamed({ ...exact, device: device }, 2), alone));
    }
  });

  it('a recorded forward gives what the kernels give one by one, for more sizes than are kept', async () => {
    await using recorded = await Detector.load('digits', exact);
    await using launched = await Detector.load('digits', { ...exact, cudaGraphs: false });
    const sides = [1, 2, 3, 4, 5, 6].map((n) => 128 * n - 1);
    const sizes = sides.flatMap((width) => sides.map((height) => [width, height] as const));
    for (const [width, height] of [...sizes, ...sizes.slice(0, 3)]) {
      const [wide, high] = [width - 9, height - 5];
      const data = await sharp(photos[1]).resize(wide, high, { fit: 'fill' }).removeAlpha().raw().toBuffer();
      const picture = { data, width: wide, height: high, channels: 3 } as const;
      const expected = await launched.detect(picture);
      // By itself, watched, recorded, replayed.
      for (const time of ['first', 'second', 'third', 'fourth']) {
        await about(`${width}x${height}, ${time} time`, async () => assertSameResults([await recorded.detect(picture)], [expected]));
      }
    }
  });

  it('a kernel that traps costs its calls, with ERR_DEVICE, and neither the process nor close()', async () => {
    const testing = join(root, 'build', 'Release', 'cornernet_testing.node');
    const { code, signal, stdout, stderr } = await runScript(`
      const detector = await Detector.load('digits', { device: 'cuda' });
      const said = [(await detector.detect(picture())).width];
      said.push(typeof require(${JSON.stringify(testing)}).trap());
      for (let call = 0; call < 2; call++) said.push(await detector.detect(picture()).catch((error) => error.code));
      await detector.close();
      console.log(JSON.stringify([...said, 'closed']));
    `);
    assert.deepEqual([code, signal], [0, null], stderr);
    assert.deepEqual(JSON.parse(stdout), [120, 'string', 'ERR_DEVICE', 'ERR_DEVICE', 'closed']);
  });

  for (const precision of ['fp32', 'fp16'] as const) {
    it(`'deterministic' gives the same bits again, from another detector too, in ${precision}`, async () => {
      const once = async (): Promise<DetectionResult[][]> => {
        await using detector = await Detector.load('digits', { ...exact, precision, scoreThreshold: 0, deterministic: true });
        return [await detector.detect(mixed), await detector.detect(mixed)];
      };
      const [[first, second], [third]] = [await once(), await once()];
      assert.deepEqual(second, first);
      assert.deepEqual(third, first);
    });
  }
});
