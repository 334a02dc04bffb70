// A queue whose network and server misbehave: a proxy that delays, cuts, drops and duplicates, and a Redis that is full.
import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';

import type { Redis } from 'ioredis';

import { fixtures } from '../environment.js';
import { assertComplete, photos, resultsOf, until, writeList } from '../support/batch.js';
import { cornernet, heard, inChildren, pressTwice, waitingFor } from '../support/child.js';
import { QueueBed } from '../support/queue.js';

describe('a queue over a network that misbehaves', function () {
  this.timeout(300_000);
  let bed: QueueBed;
  beforeEach(() => (bed = new QueueBed()));
  afterEach(() => bed.end());

  const pictures = (count: number): string[] => Array.from({ length: count }, (_, i) => photos[i % 20] as string);
  const batchOf = (inputs: readonly string[], url: string): string[] => {
    const list = writeList(`${bed.folder}/list.txt`, inputs);
    return ['batch', list, '--output', bed.job, '--queue', url, '--root', fixtures, '--progress', 'none'];
  };
  const assertWhole = async (inputs: readonly string[]): Promise<void> => {
    assertComplete(bed.job, inputs);
    const { code, stderr } = await cornernet(['batch', '--output', bed.job, '--verify']);
    assert.equal(code, 0, stderr);
  };

  it('delayed pieces and connections cut on both sides: nothing lost, nothing twice', async function () {
    await bed.server(this);
    const [near, far] = [await bed.proxy(), await bed.proxy()];
    for (const { toxics } of [near, far]) Object.assign(toxics, { latencyMs: 20, rate: 200_000 });
    const inputs = pictures(96);
    const batch = bed.start(batchOf(inputs, near.url));
    for (let i = 0; i < 2; i++) bed.worker(far.url, fixtures);
    let cuts = 0;
    for (const [proxy, done] of [near, far, near, far, far].map((one, i) => [one, 16 * i + 1] as const)) {
      await until(() => resultsOf(bed.job).length >= done || batch.child.exitCode !== null, `${done} results`);
      cuts += proxy.connections;
      proxy.cut();
    }
    const { code, stderr } = await batch.ended;
    assert.equal(code, 0, stderr);
    assert.ok(cuts >= 5, `${cuts} connections were cut`);
    await assertWhole(inputs);
  });

  it('requests that are repeated because their answers were lost: nothing lost, nothing twice', async function () {
    await bed.server(this);
    const [near, far] = [await bed.proxy(), await bed.proxy()];
    const inputs = pictures(96);
    const batch = bed.start(batchOf(inputs, near.url));
    for (let i = 0; i < 2; i++) bed.worker(far.url, fixtures);
    const keptBack = { near: 0, far: 0 };
    for (let i = 0; batch.child.exitCode === null && i < 6; i++) {
      await until(() => resultsOf(bed.job).length > 12 * i || batch.child.exitCode !== null, `${12 * i} results`);
      keptBack.far += await far.repeat(300);
      keptBack.near += await near.repeat(300);
    }
    const { code, stderr } = await batch.ended;
    assert.equal(code, 0, stderr);
    assert.ok(keptBack.near > 0 && keptBack.far > 0, JSON.stringify(keptBack));
    await assertWhole(inputs);
  });

  it('a chunk whose worker falls silent is computed by another, and what comes late is not recorded', async function () {
    const { url } = await bed.server(this);
    const far = await bed.proxy();
    const inputs = pictures(20);
    const batch = bed.start(batchOf(inputs, url));
    const go = `${bed.folder}/go`;
    const held = `process.on('message', ({ type }) => { if (type === 'detect') ${waitingFor(go)} });`;
    const silent = bed.worker(far.url, fixtures, [], inChildren(`${bed.folder}/held.cjs`, held));
    const said = heard(silent.child);
    const queue = bed.queue();
    // A chunk is active before its worker has heard of it: it has both when it waits for a third.
    const waitsForMore = async (): Promise<boolean> =>
      /\bflags=b .*\bcmd=bzpopmin\b/.test(String(await ((await queue.client) as unknown as Redis).client('LIST')));
    await until(async () => (await queue.getActiveCount()) === 2 && (await waitsForMore()), 'both chunks are in hand');
    far.deaf = true;
    far.drop();
    writeFileSync(go, '');
    bed.worker(url, fixtures);
    const { code, stderr } = await batch.ended;
    assert.equal(code, 0, stderr);
    // It comes back with replies that nobody waits for, and goes on.
    far.deaf = false;
    far.cut();
    await until(() => /Missing (key|lock) for job/.test(said()), 'the late reply');
    await until(
      async () => (await bed.status(url)).workers.reduce((sum, one) => sum + one.pictures, 0) >= 2 * inputs.length,
      'two in work',
    );
    silent.child.kill('SIGTERM');
    assert.equal((await silent.ended).code, 0);
    await assertWhole(inputs);
  });

  it('a server that is full ends a batch with a sentence and lets its workers wait quietly', async function () {
    const { url } = await bed.server(this, ['--maxmemory-policy', 'noeviction']);
    const inputs = pictures(480); // more than are computed before the server is full
    const one = bed.worker(url, fixtures);
    const said = heard(one.child);
    const batch = bed.start(batchOf(inputs, url));
    const queue = bed.queue();
    await until(async () => (await queue.getActiveCount()) > 0, 'a chunk in hand');
    bed.redis?.limitMemory(1);
    // Also a batch that has nothing more to hand out.
    for (const { code, stderr } of [
      await batch.ended,
      await bed.start(['worker', '--queue', url, '--root', fixtures]).ended,
      await bed.start(batchOf(inputs, url)).ended,
    ]) {
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^ERR_QUEUE: the queue can't be used: OOM/m);
    }
    assert.ok(resultsOf(bed.job).length < inputs.length);
    await until(() => said().includes('OOM'), "the worker's word");
    bed.redis?.limitMemory(0);
    const { code, stderr } = await bed.start(batchOf(inputs, url)).ended;
    assert.equal(code, 0, stderr);
    await assertWhole(inputs);
    const lines = said().split('\n');
    assert.ok(lines.length < 30, `${lines.length} lines, the last ones: ${lines.slice(-5).join('\n')}`);
    assert.equal(one.child.exitCode, null);
  });

  it('a server that never answers is a clear error, and one that falls silent lets everybody leave', async function () {
    const { url } = await bed.server(this);
    const proxy = await bed.proxy();
    const batch = bed.start(batchOf(pictures(200), proxy.url));
    const queue = bed.queue();
    await until(async () => (await queue.getWaitingCount()) > 0, 'chunks wait');
    const one = bed.worker(proxy.url, fixtures);
    await until(async () => (await bed.status(url)).workers.length === 1, 'the worker');
    const mute = await bed.proxy();
    mute.muteAt = ':presence'; // no request of the connection itself names it
    const unanswered = cornernet(['status', '--queue', mute.url]);
    proxy.deaf = true;
    proxy.drop();
    const deaf = [['status'], ['worker'], batchOf(pictures(4), proxy.url).slice(0, -2)].map((args) =>
      cornernet([...args, '--queue', proxy.url, ...(args.includes('--output') ? ['--output', `${bed.folder}/other`] : [])]),
    );
    for (const { code, stderr } of await Promise.all(deaf)) {
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^ERR_QUEUE: the queue at redis:\/\/127\.0\.0\.1:\d+ can't be used: it does not answer within 5 s$/m);
    }
    const { code, stderr } = await unanswered;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^ERR_QUEUE: the queue can't be used: it does not answer within 10 s$/m);
    await Promise.all([batch, one].map(({ child }) => pressTwice(child)));
    for (const { code, signal } of [await batch.ended, await one.ended]) {
      assert.ok(signal === 'SIGINT' || code === 130 || code === 0, `${code} ${signal}`); // by itself, or by the signal where a timer is left
    }
  });
});
