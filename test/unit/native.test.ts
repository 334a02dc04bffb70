// The addon by itself, called as no checked code would: what it refuses, and what it computes for tiles.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

import type { z } from 'zod';

import { decodeImage } from '../../lib/images/image.js';
import { loadNative, type NativeDetectOptions, type NativeDetector } from '../../lib/native.js';
import { callTable, loadTable, softNmsTable } from '../../lib/options/table.js';
import { resolveWeights } from '../../lib/weights/weights.js';
import { fixtures, root } from '../environment.js';
import { runNode } from '../support/child.js';

describe('The addon', function () {
  this.timeout(60_000);
  let native: NativeDetector;
  const options: NativeDetectOptions = { flip: false, scoreThreshold: 0.1 };
  before(async () => {
    native = new (loadNative().Detector)();
    const { path } = resolveWeights('digits');
    await native.load({ path, device: 'cpu', precision: 'fp32', threads: 1 });
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
    const naive = await native.mergeDetections(2, boxes, { ...options, softNms: { method: 'naive' }, classIds: [1] });
    assert.deepEqual([...naive], [...Float32Array.of(...best)]);
    assert.equal((await native.mergeDetections(3, new Float32Array(), options)).length, 0);
  });

  it('has the environment as its libraries want it, where a user did not say otherwise', async () => {
    const native = JSON.stringify(join(root, 'lib', 'native.ts'));
    const shown = async (env: NodeJS.ProcessEnv): Promise<string> => {
      const script = `require(${native}).loadNative(); console.log('NCCL_RUNTIME_CONNECT', process.env.NCCL_RUNTIME_CONNECT)`;
      return (await runNode(['--import', 'tsx', '-e', script], { env: { ...process.env, ...env } })).stdout;
    };
    assert.match(await shown({ NCCL_RUNTIME_CONNECT: undefined }), /^NCCL_RUNTIME_CONNECT 0$/m);
    assert.match(await shown({ NCCL_RUNTIME_CONNECT: '1' }), /^NCCL_RUNTIME_CONNECT 1$/m);
  });

  it('is not loaded where the current folder is gone, and says so', async () => {
    const native = JSON.stringify(join(root, 'lib', 'native.ts'));
    const script = `
      const { loadNative } = require(${native});
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gone-'));
      process.chdir(folder);
      fs.rmdirSync(folder);
      try { loadNative() } catch (error) { console.log(JSON.stringify(error)) }
      process.chdir('/');
      console.log(typeof loadNative().buildInfo);`;
    const { stdout, stderr } = await runNode(['--import', 'tsx', '-e', script]);
    const [refused, loaded] = stdout.split('\n');
    assert.match(
      refused ?? '',
      /^\{"name":"CornerNetError","code":"ERR_LIBTORCH","message":"LibTorch can't be loaded where the current folder is gone: ENOENT/,
      stderr,
    );
    assert.equal(loaded, 'function', stderr);
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
    assert.ok(events.indexOf('merge') < 3, events.join());

    const many = Float32Array.from({ length: 6 * 100_000 }, (_, i) => (i % 6 === 5 ? 0 : i % 6 < 2 ? i : i % 6 < 4 ? i + 20 : 0.5));
    const endless = native.mergeDetections(15, many, { ...options, maxPerImage: 100_000 });
    native.cancel(15);
    await assert.rejects(endless, { code: 'ERR_CLOSED' });

    const another = new (loadNative().Detector)();
    await assert.rejects(another.mergeDetections(1, new Float32Array(6), options), { code: 'ERR_CLOSED', message: /no checkpoint/ });
    await another.close();
    await assert.rejects(another.detect(1, [], options), { code: 'ERR_CLOSED' });
  });

  it('takes what a call names and keeps what the checkpoint states', async () => {
    const path = join(fixtures, 'digits', 'val', '0002.jpg');
    const { data, width, height } = await decodeImage(path, 1_000_000);
    const detect = async (id: number, changes: NativeDetectOptions): Promise<Float32Array | undefined> =>
      (await native.detect(id, [{ data, width, height }], { ...options, ...changes })).detections[0];
    const usual = await detect(21, {});
    assert.ok((usual?.length ?? 0) > 6);
    assert.equal((await detect(22, { maxPerImage: 1, mean: undefined }))?.length, 6);
    assert.notDeepEqual(await detect(23, { mean: [0, 0, 0] }), usual);
    assert.deepEqual(await detect(24, { cornerTopk: 100, softNms: {}, numerics: 'mmdet2' }), usual);
  });

  it('refuses settings that are none, by name', async () => {
    const picture = { data: new Uint8Array(3), width: 1, height: 1 };
    const refused = (changes: unknown, message: RegExp): Promise<void> =>
      assert.rejects(native.detect(1, [picture], changes as NativeDetectOptions), { code: 'ERR_OPTION', message });
    await refused(undefined, /detect options must be an object/);
    await refused({ flip: 1 }, /flip must be true or false/);
    await refused({ mean: [1, 2] }, /mean must be an array of 3 items/);
    await refused({ std: [1, 2, '3'] }, /std\[2\] must be a finite number/);
    await refused({ std: [1, 0, 1] }, /std must be 1e-06 to 1e\+06, not 0/);
    await refused({ cornerTopk: 1.5 }, /cornerTopk must be an integer/);
    await refused({ maxPerImage: 0 }, /maxPerImage must be 1 to 100000, not 0/);
    await refused({ numerics: 'mmdet1' }, /numerics must be 'mmdet2' or 'mmdet3'/);
    await refused({ softNms: { method: 'soft' } }, /method must be 'gaussian', 'linear' or 'naive'/);
    await refused({ softNms: { sigma: 0 } }, /softNms.sigma must be 1e-06 to 1e\+30, not 0/);
    await refused({ classIds: [null] }, /classIds\[0\] must be a finite number/);
  });

  it('allows of each setting what the table of options allows, no more and no less', async () => {
    const one = Float32Array.of(0, 0, 1, 1, 0.5, 0);
    const settings = { ...callTable, ...loadTable };
    const agree = async (
      name: string,
      schema: z.ZodType,
      values: readonly unknown[],
      changes: (value: unknown) => object,
    ): Promise<void> => {
      const verdicts: boolean[] = [];
      for (const value of values) {
        const merged = native.mergeDetections(1, one, { ...options, ...changes(value) }).then(
          () => true,
          (error: unknown) => {
            assert.equal((error as { code?: string }).code, 'ERR_OPTION');
            return false;
          },
        );
        verdicts.push(schema.safeParse(value).success);
        assert.equal(await merged, verdicts.at(-1), `${name}: ${String(value)}`);
      }
      assert.equal(new Set(verdicts).size, 2, `${name} is never ${verdicts[0] ? 'refused' : 'allowed'}`);
    };
    const wholes = [-1, 0, 1, 2, 9_999, 10_000, 10_001, 100_000, 100_001, 2 ** 31 - 1, 1e9];
    const numbers = [-1e7, -1e6, -1, -1e-9, 0, 1e-7, 1e-6, 0.099, 0.1, 1, 1.001, 4, 4.001, 16, 1e6, 1.001e6, 1e30, 1.001e30, 1e300];
    for (const name of ['cornerTopk', 'maxPerImage'] as const)
      await agree(name, settings[name].schema, wholes, (value) => ({ [name]: value }));
    for (const name of ['scoreThreshold', 'distanceThreshold'] as const)
      await agree(name, settings[name].schema, numbers, (value) => ({ [name]: value }));
    for (const [name, { schema }] of Object.entries(softNmsTable))
      await agree(name, schema, name === 'method' ? ['naive', 'none'] : numbers, (value) => ({ softNms: { [name]: value } }));
    const scales = [...numbers.map((scale) => [scale]), [], Array(16).fill(1), Array(17).fill(1)];
    await agree('scales', settings.scales.schema, scales, (value) => ({ scales: value }));
    const triples = numbers.map((number) => [1, number, 1]);
    for (const name of ['mean', 'std'] as const) await agree(name, settings[name].schema, triples, (value) => ({ [name]: value }));
  });

  it('refuses pictures whose bytes and sides disagree', async () => {
    const refused = (picture: unknown, code: string): Promise<void> =>
      assert.rejects(native.detect(1, [picture as never], options), { code });
    await refused({ data: new Uint8Array(5), width: 1, height: 2 }, 'ERR_INPUT');
    await refused({ data: new Float32Array(6), width: 1, height: 2 }, 'ERR_INPUT');
    await refused({ data: new Uint8Array(3), width: 0, height: 1 }, 'ERR_INPUT');
    await refused({ data: new Uint8Array(3), width: 2 ** 30, height: 2 ** 30 }, 'ERR_INPUT');
    await refused({ data: new Uint8Array(3), width: 1.5, height: 1 }, 'ERR_OPTION');
    await refused(undefined, 'ERR_OPTION');
    await assert.rejects(native.detect(1, {} as never, options), { code: 'ERR_INPUT' });
  });
});
