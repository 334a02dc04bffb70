// Pictures larger than what the weights were trained on: scaled, cut into tiles, warned of.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

import sharp from 'sharp';

import { cropped, joined, tilingOf } from '../../lib/detector/tiles.js';
import { Detector, type Detection } from '../../lib/index.js';
import { root } from '../environment.js';

const scenes = [0, 1, 2, 3].map((i) => join(root, 'pictures', `scene${i}.jpg`));

/** How many of `wanted`, moved by (left, top), are among `found`, each side within `tolerance` pixels. */
function refound(wanted: readonly Detection[], found: readonly Detection[], [left, top]: [number, number], tolerance: number): number {
  const near = (one: Detection, other: Detection): boolean =>
    one.label === other.label &&
    one.box.every((side, i) => Math.abs(side + (i % 2 === 0 ? left : top) - (other.box[i] ?? NaN)) <= tolerance);
  return wanted.filter((one) => found.some((other) => near(one, other))).length;
}

describe('large pictures', function () {
  this.timeout(120_000);
  let detector: Detector;
  before(async () => {
    detector = await Detector.load('digits', { device: 'cpu' });
  });
  after(() => detector.close());

  it('are found again in scenes enlarged to 1440, 2880 and 4000 px, by maxSide and by scale', async () => {
    for (const scene of scenes) {
      const small = await detector.detect(scene);
      for (const width of [1440, 2880, 4000]) {
        const large = await sharp(scene).resize(width).jpeg().toBuffer();
        const factor = width / small.width;
        const original = small.detections.map((one) => ({
          ...one,
          box: one.box.map((side) => side * factor) as unknown as Detection['box'],
        }));
        for (const scaling of [{ maxSide: Math.max(small.width, small.height) }, { scale: 1 / factor }]) {
          const result = await detector.detect(large, scaling);
          assert.equal(result.width, width);
          assert.equal(result.detections.length, small.detections.length, `${scene} ${width}`);
          assert.equal(refound(original, result.detections, [0, 0], 3 * factor), original.length, `${scene} ${width}`);
        }
      }
    }
  });

  it('are found again in a scan of several scenes, by tiles', async () => {
    const places: [number, number][] = [
      [40, 30],
      [1100, 10],
      [2300, 150],
      [3400, 100],
    ];
    const layers = scenes.map((input, i) => ({ input, left: places[i]?.[0] ?? 0, top: places[i]?.[1] ?? 0 }));
    const scan = await sharp({ create: { width: 4000, height: 520, channels: 3, background: '#888888' } })
      .composite(layers)
      .png()
      .toBuffer();
    const before = detector.stats;
    const { detections, timings, width } = await detector.detect(scan, { tiles: { size: 511, overlap: 128 }, timings: true });
    assert.equal(width, 4000);
    assert.equal(detector.stats.views - before.views, 11 * 2);
    assert.ok(detector.stats.forwards - before.forwards < 11 * 2 && (timings?.network ?? 0) > 0);
    let wanted = 0;
    let found = 0;
    for (const [i, scene] of scenes.entries()) {
      const alone = (await detector.detect(scene)).detections.filter(({ score }) => score > 0.65); // surely seen
      wanted += alone.length;
      found += refound(alone, detections, places[i] ?? [0, 0], 6);
    }
    assert.ok(found >= wanted - 1 && wanted > 20, `${found} of ${wanted}`);
    assert.ok(detections.length <= wanted + 8, `${detections.length} instead of ${wanted}`); // none twice
  });

  it('one tile gives what the whole gives, and a picture that fails leaves the others', async () => {
    const scene = scenes[0] as string;
    assert.deepEqual(await detector.detect(scene, { tiles: { size: 511 } }), await detector.detect(scene));
    const results = [];
    for await (const result of detector.detectAll([scene, 'missing.jpg', scene], { tiles: { size: 255 } })) results.push(result);
    assert.deepEqual(
      results.map((result) => 'error' in result),
      [false, true, false],
    );
    assert.deepEqual(results[0], results[2]);
  });

  it('a call takes back the size, the tiles and the classes that the detector was loaded with', async () => {
    const scene = scenes[0] as string;
    const whole = await detector.detect(scene);
    for (const options of [{ maxSide: 100 }, { tiles: { size: 127 } }, { classes: ['3'] }]) {
      await using limited = await Detector.load('digits', { device: 'cpu', ...options });
      assert.notDeepEqual((await limited.detect(scene)).detections, whole.detections);
      assert.deepEqual(await limited.detect(scene, { maxSide: false, tiles: false, classes: false }), whole);
    }
  });

  it('a picture of which a scale leaves nothing fails alone, with a sentence', async () => {
    const line = { data: new Uint8Array(300 * 3), width: 300, height: 1, channels: 3 } as const;
    const square = { data: new Uint8Array(300 * 300 * 3), width: 300, height: 300, channels: 3 } as const;
    const failures = [];
    for await (const result of detector.detectAll([square, line, square], { scales: [1, 0.5] })) {
      failures.push('error' in result ? `${result.error.code}: ${result.error.message}` : null);
    }
    assert.deepEqual(failures, [null, 'ERR_INPUT: the scale 0.500 leaves nothing of a picture of 300x1 pixels', null]);
  });

  it('the first that is far larger than the training pictures is warned of, once', async () => {
    await using fresh = await Detector.load('digits', { device: 'cpu' });
    const large = { data: new Uint8Array(900 * 60 * 3), width: 900, height: 60, channels: 3 } as const;
    await fresh.detect(large, { maxSide: 500 });
    await fresh.detect(large, { tiles: { size: 255 } });
    assert.deepEqual(fresh.stats.warnings, []);
    await fresh.detect([large, large]);
    assert.equal(fresh.stats.warnings.length, 1);
    assert.match(fresh.stats.warnings.join('|'), /is 900x60 pixels large and the weights were trained on about 192.*maxSide or tiles/);
  });

  it('tiles cover the picture, the last flush with its border', () => {
    const { tiles } = tilingOf({ width: 1000, height: 300 }, { size: 400, overlap: 100 });
    assert.deepEqual(
      tiles.map(({ left, top, width, height }) => [left, top, width, height]),
      [
        [0, 0, 400, 300],
        [300, 0, 400, 300],
        [600, 0, 400, 300],
      ],
    );
    assert.deepEqual(
      tilingOf({ width: 1050, height: 500 }, { size: 400, overlap: 100 }).tiles.map(({ left, top }) => [left, top]),
      [0, 100].flatMap((top) => [0, 300, 600, 650].map((left) => [left, top])),
    );
    const picture = { data: Uint8Array.from({ length: 4 * 3 * 3 }, (_, i) => i), width: 4, height: 3 };
    assert.deepEqual([...cropped(picture, { left: 1, top: 1, width: 2, height: 1 }).data], [15, 16, 17, 18, 19, 20]);
    assert.equal(cropped(picture, { left: 0, top: 0, width: 4, height: 3 }), picture);
  });

  it('a box that a tile cuts counts only when no tile has it whole', () => {
    const tiling = tilingOf({ width: 700, height: 100 }, { size: 400, overlap: 100 });
    const kept = (...boxes: number[][]): number[] => [
      ...joined(
        tiling,
        boxes.map((box) => Float32Array.of(...box)),
      ),
    ];
    const whole = [20, 10, 90, 50, 0.5, 3];
    assert.deepEqual(kept([320, 10, 399, 50, 0.5, 3], whole), [320, 10, 390, 50, 0.5, 3]); // the second tile begins at 300
    assert.deepEqual(kept([250, 10, 399, 50, 0.5, 3], []), [250, 10, 399, 50, 0.5, 3]); // larger than the overlap
    assert.deepEqual(kept([0, 0, 60, 99, 0.5, 3], [300, 0, 400, 100, 0.5, 3]), [0, 0, 60, 99, 0.5, 3, 600, 0, 700, 100, 0.5, 3]); // own border
  });
});
