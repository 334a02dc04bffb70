// Replicas: a device that fails loses no call, and is left alone afterwards.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

import { decodeImage } from '../../lib/images/image.js';
import { Detector } from '../../lib/index.js';
import { loadNative, type NativeDetectOptions, type NativeDetector, type NativeInfo } from '../../lib/native.js';
import { Replicas } from '../../lib/detector/replicas.js';
import { resolveWeights } from '../../lib/weights/weights.js';
import { fixtures } from '../environment.js';
import { refusal } from '../support/refusal.js';

async function load(): Promise<{ native: NativeDetector; info: NativeInfo }> {
  const native = new (loadNative().Detector)();
  const { path } = resolveWeights('digits');
  return {
    native,
    info: await native.load({ path, device: 'cpu', precision: 'fp32', threads: 1 }),
  };
}

/** Makes the network's calls meet the error that the addon itself gives for a device that isn't there. */
function lose(native: NativeDetector): () => number {
  let calls = 0;
  const detect: NativeDetector['detect'] = async () => {
    calls++;
    await loadNative().cornerPool(new Float32Array(1), [1, 1], 'top', 'cuda:999');
    return { detections: [], notFinite: [], timings: [] };
  };
  Object.defineProperty(native, 'detect', { value: detect }); // the addon's methods can't be assigned to
  return () => calls;
}

describe('Replicas', function () {
  this.timeout(60_000);

  it('try a call elsewhere when a device fails, and leave that device alone', async () => {
    const [broken, sound] = [await load(), await load()];
    const callsOfBroken = lose(broken.native);
    const replicas = new Replicas([broken, sound]);
    try {
      const picture = await decodeImage(join(fixtures, 'digits', 'val', '0002.jpg'), 1_000_000);
      const request: NativeDetectOptions = { flip: false, scoreThreshold: 0.3 };
      const { detections: expected } = await sound.native.detect(1_000_000, [picture], request);
      const found = await Promise.all([1, 2, 3, 4].map(() => replicas.detect([picture], request, undefined)));
      for (const { detections } of found) assert.deepEqual(detections, expected);
      assert.match(replicas.warnings.join('|'), /^replica 0 on cpu was taken out of service: [^|]+$/);
      assert.deepEqual(replicas.failedDevices, ['cpu']);
      const before = callsOfBroken();
      await replicas.detect([picture], request, undefined);
      assert.equal(callsOfBroken(), before);
      lose(sound.native);
      assert.equal((await refusal(replicas.detect([picture], request, undefined))).code, 'ERR_DEVICE');
    } finally {
      await replicas.close();
    }
  });

  it('compute again in fp32 what is beyond fp16, and say so once', async () => {
    const { native, info } = await load();
    const detect = native.detect.bind(native);
    const asked: (boolean | undefined)[] = [];
    // A CPU has no fp16: its network says of all but the first picture that fp16 can't hold it.
    const half: NativeDetector['detect'] = async (id, pictures, options) => {
      asked.push(options.inFp32);
      const found = await detect(id, pictures, { ...options, timings: true });
      if (options.inFp32 === true) return found;
      return { ...found, detections: found.detections.map((list, i) => (i === 0 ? list : new Float32Array())), notFinite: [1, 2] };
    };
    Object.defineProperty(native, 'detect', { value: half });
    const replicas = new Replicas([{ native, info: { ...info, precision: 'fp16' } }]);
    try {
      const names = ['0002.jpg', '0076.jpg', '0002.jpg'];
      const pictures = await Promise.all(names.map((name) => decodeImage(join(fixtures, 'digits', 'val', name), 1_000_000)));
      const request: NativeDetectOptions = { flip: false, scoreThreshold: 0.3 };
      const { detections: expected } = await detect(1_000_000, pictures, request);
      for (const count of [1, 2]) {
        const { detections, notFinite, timings } = await replicas.detect(pictures, request, undefined);
        assert.deepEqual(detections, expected);
        assert.deepEqual(notFinite, []);
        assert.ok(timings.length === 3 && timings.every(({ network }) => network > 0));
        assert.equal(replicas.warnings.filter((warning) => warning.includes('beyond fp16')).length, 1);
        assert.deepEqual(asked, Array(count).fill([undefined, true]).flat());
      }
      assert.equal(replicas.stats.pictures, 3 * 3);
    } finally {
      await replicas.close();
    }
  });

  it("take 'cuda:*' as every usable GPU, and say when there is none", async () => {
    const usable = loadNative()
      .gpuInfo()
      .devices.flatMap(({ obstacle }, index) => (obstacle === '' ? [`cuda:${index}`] : []));
    if (usable.length === 0) {
      assert.equal((await refusal(Detector.load('digits', { device: ['cpu', 'cuda:*'] }))).code, 'ERR_DEVICE');
    } else {
      await using detector = await Detector.load('digits', { device: 'cuda:*' });
      assert.equal(detector.device, usable.join(','));
    }
  });
});
