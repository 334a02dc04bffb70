// The known weights: what the manifest says, fetching them from a mirror, and verifying files.
import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { defaultWeights, fetchWeights, listWeights, resolveWeights, verifyWeights, weightsPath } from '../../lib/weights/weights.js';
import { root } from '../environment.js';
import { file, serve } from '../support/flaky-server.js';
import { eachInAFolder } from '../support/scratch.js';

describe('weights', () => {
  let folder: string;
  let cache: string | undefined;
  eachInAFolder('weights', (made) => {
    folder = made;
    cache = process.env['CORNERNET_CACHE'];
    process.env['CORNERNET_CACHE'] = folder;
  });
  afterEach(() => {
    if (cache === undefined) delete process.env['CORNERNET_CACHE'];
    else process.env['CORNERNET_CACHE'] = cache;
  });

  it('the manifest has the published checkpoints, whose names end in their sha256', () => {
    const published = listWeights().filter(({ url }) => url !== undefined);
    assert.deepEqual(
      published.map(({ id, ap, sha256 }) => [id, ap, sha256]),
      [
        ['10x5', 41.2, '5fefbf1c'],
        ['8x6', 41.2, '79b44c30'],
        ['32x3', 40.4, '1efaea91'],
      ],
    );
    for (const { url = '', sha256, config, flip } of published) {
      assert.ok(url.endsWith(`-${sha256}.pth`) && url.includes(`/mmdetection/v2.0/cornernet/${config}/${config}_`), url);
      assert.ok(flip);
    }
  });

  it('the digits come with the package, are the default, and are what the manifest says', async () => {
    assert.equal(defaultWeights(), 'digits');
    const { path, flip, scoreThreshold } = resolveWeights('digits');
    assert.deepEqual([flip, scoreThreshold], [false, 0.5]);
    const { entry, bytes } = await verifyWeights(path);
    assert.equal(entry?.id, 'digits');
    assert.equal(bytes, readFileSync(join(root, 'weights', 'digits.pth')).length);
  });

  it('names the command that fetches what is not here yet', () => {
    assert.throws(() => resolveWeights('10x5'), { name: 'CornerNetError', code: 'ERR_WEIGHTS', message: /cornernet weights fetch 10x5/ });
    assert.throws(() => resolveWeights('nothing.pth'), {
      name: 'CornerNetError',
      code: 'ERR_WEIGHTS',
      message: /nothing\.pth.*10x5, 8x6, 32x3, digits/,
    });
  });

  it('a path is tested as its configuration says', () => {
    const path = join(folder, 'own.pth');
    writeFileSync(path, 'anything');
    assert.deepEqual(resolveWeights(path), { path, flip: undefined, scoreThreshold: 0.3 });
  });

  it('refuses from a mirror what has not the published sha256, and keeps nothing', async () => {
    await using mirror = await serve(file(Buffer.from('other weights')));
    await assert.rejects(fetchWeights('10x5', { mirror: `${mirror.url}/models`, pauseMs: 1 }), {
      name: 'CornerNetError',
      code: 'ERR_DOWNLOAD',
      message: /not 5fefbf1c/,
    });
    const entry = listWeights().find(({ id }) => id === '10x5');
    assert.ok(entry);
    assert.equal(mirror.requests[0]?.path, `/models/${basename(weightsPath(entry))}`);
    assert.ok(!existsSync(weightsPath(entry)));
    for (const options of [
      { mirrors: mirror.url },
      { url: mirror.url },
      { stallMs: -1 },
      { signal: new AbortController() },
      null,
    ] as never[]) {
      await assert.rejects(fetchWeights('10x5', options), { name: 'CornerNetError', code: 'ERR_OPTION' });
    }
    await assert.rejects(fetchWeights(undefined as never), { name: 'CornerNetError', code: 'ERR_OPTION' });
    assert.equal(mirror.requests.length, 1);
  });

  it('verifies a file against the digits in its name', async () => {
    const path = join(folder, 'weights-00000000.pth');
    writeFileSync(path, 'x');
    await assert.rejects(verifyWeights(path), { name: 'CornerNetError', code: 'ERR_CHECKPOINT', message: /not 00000000/ });
    await assert.rejects(verifyWeights(join(folder, 'missing.pth')), {
      name: 'CornerNetError',
      code: 'ERR_INPUT',
      message: /missing\.pth/,
    });
    await assert.rejects(fetchWeights('5x5'), { name: 'CornerNetError', code: 'ERR_WEIGHTS', message: /no weights 5x5.*10x5/ });
  });

  it('verifies a file against the sha256 beside it in each form of sha256sum, and refuses one that holds none', async () => {
    const path = join(folder, 'own.pth');
    writeFileSync(path, 'x');
    const { sha256 } = await verifyWeights(path);
    const other = 'ab'.repeat(32);
    for (const form of [(digest: string) => `${digest.toUpperCase()} *own.pth\n`, (digest: string) => `SHA256 (own.pth) = ${digest}\n`]) {
      writeFileSync(`${path}.sha256`, form(sha256));
      assert.equal((await verifyWeights(path)).sha256, sha256);
      writeFileSync(`${path}.sha256`, form(other));
      await assert.rejects(verifyWeights(path), { code: 'ERR_CHECKPOINT', message: new RegExp(`not ${other}`) });
    }
    for (const text of ['', 'garbage', sha256.slice(1)]) {
      writeFileSync(`${path}.sha256`, text);
      const message = /own\.pth\.sha256 holds no sha256 .* remove it/;
      await assert.rejects(verifyWeights(path), { name: 'CornerNetError', code: 'ERR_CHECKPOINT', message });
    }
  });
});
