// The addon by itself, called as no checked code would: what it refuses, and what it computes for tiles.
import { strict as assert } from 'node:assert';

import { loadNative, type NativeDetectOptions, type NativeDetector } from '../../lib/native.js';
import { resolveWeights } from '../../lib/weights/weights.js';

describe('The addon', function () {
  this.timeout(60_000);
  let native: NativeDetector;
  let options: NativeDetectOptions;
  before(async () => {
    native = new (loadNative().Detector)();
    const { path } = resolveWeights('digits');
    const load = { path, device: 'cpu', precision: 'fp32', threads: 1, tf32: false, deterministic: false, cudaGraphs: true } as const;
    const { settings } = await native.load(load);
    options = { flip: false, numerics: 'mmdet2', scoreThreshold: 0.1, classIds: [], timings: false, settings };
  });
  after(() => native.close());

  it('merges the detections of tiles by soft-NMS, threshold and class', async () => {
    const [best, twin, other, faint] = [
      [10, 10, 50, 50, 0.9, 1],
      [10, 10, 50, 50, 0.8, 1],
      [10, 10, 50, 50, 0.7, 2],
      [90, 90, 99, 99, 0.05, 1],
    ] as const;
    const boxes = Float32Array.of(...twin, ...best, ...faint, ...other);
    const merged = await native.mergeDetections(1, boxes, options);
    // The twin's overlap is 1: 0.8 * exp(-1 / 0.5).
    assert.deepEqual([...merged.slice(0, 12)], [...Float32Array.of(...best, ...other)]);
    assert.equal(merged.length, 18);
    assert.ok(Math.abs((merged[16] as number) - 0.8 * Math.exp(-2)) < 1e-6);
    const naive = await native.mergeDetections(2, boxes, {
      ...options,
      settings: { ...options.settings, nmsMethod: 'naive' },
      classIds: [1],
    });
    assert.deepEqual([...naive], [...Float32Array.of(...best)]);
    assert.equal((await native.mergeDetections(3, new Float32Array(), options)).length, 0);
  });

  it('refuses detections that are none', async () => {
    const refused = (boxes: unknown, sentence: RegExp): Promise<void> =>
      assert.rejects(native.mergeDetections(1, boxes as Float32Array, options), { code: 'ERR_INPUT', message: sentence });
    await refused(new Float32Array(5), /six numbers/);
    await refused(new Float64Array(6), /Float32Array/);
    await refused(Float32Array.of(0, 0, NaN, 1, 0.5, 0), /finite/);
    await refused(Float32Array.of(0, 0, 1, 1, 0.5, -1), /class/);
    await refused(Float32Array.of(0, 0, 1, 1, 0.5, 0.5), /class/);
    await refused(undefined, /Float32Array/);
  });

  it('merges when forwards are queued, drops a merge that is cancelled, and none once it is closed', async () => {
    const picture = { data: new Uint8Array(300 * 300 * 3), width: 300, height: 300 };
    const events: string[] = [];
    const forwards = [11, 12, 13].map((id) => native.detect(id, [picture], options).then(() => events.push('forward')));
    const merge = native.mergeDetections(14, new Float32Array(6), options).then(() => events.push('merge'));
    await Promise.all([...forwards, merge]);
    assert.ok(events.indexOf('merge') < 2, events.join());

    const many = Float32Array.from({ length: 6 * 100_000 }, (_, i) => (i % 6 === 5 ? 0 : i % 6 < 2 ? i : i % 6 < 4 ? i + 20 : 0.5));
    const endless = native.mergeDetections(15, many, { ...options, settings: { ...options.settings, maxPerImage: 100_000 } });
    native.cancel(15);
    await assert.rejects(endless, { code: 'ERR_CLOSED' });

    const another = new (loadNative().Detector)();
    await another.close();
    await assert.rejects(another.mergeDetections(1, new Float32Array(6), options), { code: 'ERR_CLOSED' });
  });
});
