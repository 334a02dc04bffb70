// Batch jobs over many workers: a real Redis, real processes, and accidents to all of them.
import { strict as assert } from 'node:assert';
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Redis } from 'ioredis';

import { QueueEngine } from '../../lib/jobs/queue/engine.js';
import { Engines } from '../../lib/jobs/queue/engines.js';
import { Presence } from '../../lib/jobs/queue/presence.js';
import type { Chunk } from '../../lib/jobs/queue/protocol.js';
import { QueueRoot } from '../../lib/jobs/queue/root.js';
import { runWorker } from '../../lib/jobs/queue/worker.js';
import { runBatch } from '../../lib/jobs/run.js';
import { resolveWeights, sha256 } from '../../lib/weights/weights.js';
import { fixtures, orSkip, root } from '../environment.js';
import { assertComplete, childrenOf, copiesIn, errorsOf, partsOf, photos, random, resultsOf, until, writeList } from '../support/batch.js';
import { cornernet, heard, inChildren, pressTwice, runNode, runScript } from '../support/child.js';
import { withFaults } from '../support/faults.js';
import { QueueBed, type Running } from '../support/queue.js';
import { eachInAFolder, makeCertificate } from '../support/scratch.js';

describe('cornernet batch --queue', function () {
  this.timeout(300_000);
  let bed: QueueBed;
  let folder: string;
  let job: string;
  beforeEach(() => {
    bed = new QueueBed();
    ({ folder, job } = bed);
  });
  afterEach(() => bed.end());

  const start: QueueBed['start'] = (...args) => bed.start(...args);
  const server: QueueBed['server'] = (...args) => bed.server(...args);
  const worker: QueueBed['worker'] = (...args) => bed.worker(...args);
  const status: QueueBed['status'] = (url) => bed.status(url);

  it('goes on from any folder: the root is the one that it was begun in', async function () {
    const { url } = await server(this);
    const ours = join(folder, 'ours');
    const names = ['0.jpg', '1.jpg', '2.jpg'];
    copiesIn(ours, names);
    worker(url, ours);
    const from = (cwd: string, ...inputs: string[]) => cornernet(['batch', ...inputs, '--output', job, '--queue', url], { cwd });
    assert.equal((await from(ours, ...names)).code, 0);
    const [part] = partsOf(job) as [string];
    writeFileSync(part, readFileSync(part, 'utf8').split('\n').slice(0, 1).join('\n') + '\n');
    const { code, stderr } = await from(folder);
    assert.equal(code, 0, stderr);
    assertComplete(job, names);
  });

  it("workers compute what a batch hands out: the records of a local job, in the batch's names", async function () {
    const { url } = await server(this);
    // Each side has the pictures in a folder of its own.
    const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
    for (const side of [ours, theirs]) {
      mkdirSync(side);
      photos.slice(0, 20).forEach((path, i) => copyFileSync(path, join(side, `${i}.jpg`)));
    }
    writeFileSync(join(ours, 'bad.jpg'), 'no picture');
    writeFileSync(join(theirs, 'bad.jpg'), 'no picture');
    const workers = [worker(url, theirs), worker(url, theirs)];
    await until(async () => (await status(url)).workers.length === 2, 'the workers');
    const batch = start(['batch', ours, '--output', job, '--queue', url, '--root', ours, '--precision', 'fp32']);
    await until(() => resultsOf(job).length > 0, 'the first result');
    // By the server's clock: this machine's may say anything.
    const { workers: seen } = await bed.status(url, await orSkip(this, () => withFaults({ clock: '86400' })));
    assert.deepEqual(seen.map(({ pid }) => pid).sort(), workers.map(({ child }) => child.pid).sort());
    const { code, stderr } = await batch.ended;
    assert.equal(code, 2, stderr);
    const local = join(folder, 'local');
    assert.equal((await cornernet(['batch', ours, '--output', local, '--precision', 'fp32', '--threads', '1'])).code, 2);
    const byName = (a: { image: string }, b: { image: string }): number => (a.image < b.image ? -1 : 1);
    assert.deepEqual(resultsOf(job).sort(byName), resultsOf(local).sort(byName));
    assert.deepEqual(
      errorsOf(job).map(({ image, error }) => [image, error.code]),
      [[join(ours, 'bad.jpg'), 'ERR_INPUT']],
    );
    // A clean stop, and nothing is left behind.
    for (const { child, ended } of workers) {
      child.kill('SIGTERM');
      assert.equal((await ended).code, 0);
    }
    const after = await status(url);
    assert.deepEqual([after.waiting, after.active, after.workers.length], [0, 0, 0]);
  });

  it('workers killed at random moments, and Redis restarted in the middle: nothing lost, nothing twice', async function () {
    this.timeout(600_000);
    const next = random(11);
    const { url } = await server(this);
    const inputs = Array.from({ length: 600 }, (_, i) => photos[i % 20] as string);
    const list = writeList(join(folder, 'list.txt'), inputs);
    const batch = start(['batch', list, '--output', job, '--queue', url, '--root', fixtures, '--progress', 'none']);
    const workers = [worker(url, fixtures), worker(url, fixtures), worker(url, fixtures)];
    await until(() => resultsOf(job).length > 0, 'the first result');
    for (let accident = 0; accident < 8 && batch.child.exitCode === null; accident++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000 + next() * 1_500));
      if (accident === 3) {
        await bed.redis?.down('SIGKILL');
        await new Promise((resolve) => setTimeout(resolve, 500));
        await bed.redis?.up();
        continue;
      }
      const victim = Math.floor(next() * workers.length);
      const { child } = workers[victim] as Running;
      const [below] = childrenOf(child.pid as number);
      if (next() < 0.4 && below !== undefined) {
        process.kill(below, 'SIGKILL'); // the process that runs the addon, which its worker starts again
      } else {
        child.kill('SIGKILL');
        workers[victim] = worker(url, fixtures);
      }
    }
    const { code, stderr } = await batch.ended;
    assert.equal(code, 0, stderr);
    assertComplete(job, inputs);
  });

  it('a batch that was killed goes on with the same workers', async function () {
    const { url } = await server(this);
    const inputs = Array.from({ length: 200 }, (_, i) => photos[i % 20] as string);
    const list = writeList(join(folder, 'list.txt'), inputs);
    const args = ['batch', list, '--output', job, '--queue', url, '--root', fixtures];
    worker(url, fixtures);
    const first = start(args);
    await until(() => resultsOf(job).length > 20, 'some results');
    first.child.kill('SIGKILL');
    await first.ended;
    const { code, stderr } = await start(args).ended;
    assert.equal(code, 0, stderr);
    assertComplete(job, inputs);
  });

  it('workers of one host name and process number have a line each, and the next worker deletes those of killed ones', async function () {
    const { url } = await server(this);
    const queue = bed.queue();
    const key = queue.toKey('presence');
    const presences = [new Presence(queue), new Presence(queue)];
    try {
      for (const presence of presences) await presence.tell();
      const client = await queue.client;
      await client.hset(key, { killed: JSON.stringify({ ...presences[0]?.state, time: 1 }), damaged: '{' });
      const { workers } = await status(url);
      assert.deepEqual(workers.map(({ pid }) => pid), [process.pid, process.pid]); // prettier-ignore
      assert.equal(Object.keys(await client.hgetall(key)).length, 4); // looking changes nothing
      presences[0]?.end();
      await presences[0]?.leave();
      assert.equal((await status(url)).workers.length, 1);
      worker(url, fixtures);
      const lines = async (): Promise<number> => Object.keys(await client.hgetall(key)).length;
      await until(async () => (await status(url)).workers.length === 2 && (await lines()) === 2, 'a line of each that lives');
    } finally {
      for (const presence of presences) presence.end();
    }
  });

  it('a worker asks a server that is away for the time but once, and one that may not be written to any more by a new connection', async function () {
    const { url, port } = await server(this);
    const queue = bed.queue();
    const client = (await queue.client) as unknown as Redis;
    const presence = new Presence(queue);
    try {
      await bed.redis?.down();
      await new Promise((resolve) => setTimeout(resolve, 7_000)); // three times that it would tell
      await bed.redis?.up();
      const asked = async (): Promise<number> => Number(/^cmdstat_time:calls=(\d+)/m.exec(await client.info('commandstats'))?.[1] ?? 0);
      await until(async () => (await asked()) > 0, 'it tells');
      assert.ok((await asked()) <= 2);
    } finally {
      presence.end();
    }
    await presence.leave(); // or its line would count as the worker's
    worker(url, fixtures);
    const connections = async (): Promise<string[]> => {
      const mine = new RegExp(`^id=${await client.client('ID')} `);
      const lines = String(await client.client('LIST'))
        .trim()
        .split('\n');
      return lines.filter((line) => !mine.test(line)).map((line) => line.split(' ')[0] as string);
    };
    await until(async () => (await status(url)).workers.length === 1, 'the worker');
    const before = await connections();
    await client.replicaof('127.0.0.1', 1);
    await until(async () => !(await connections()).some((id) => before.includes(id)), `new connections to ${port}`);
    await client.replicaof('NO', 'ONE');
    const { code, stderr } = await start(['batch', photos[0] as string, '--output', job, '--queue', url, '--root', fixtures]).ended;
    assert.equal(code, 0, stderr);
  });

  it('a picture that kills its process is found in its chunk; the others are computed', async function () {
    const { url } = await server(this);
    const root = join(folder, 'root');
    const paths = copiesIn(root, ['a.jpg', 'b.jpg', 'poison.jpg', 'd.jpg']);
    const poisoned = `process.on('message', (m) => { if (/poison/.test(m.entry?.path)) process.abort(); });`;
    worker(url, root, [], inChildren(join(folder, 'die.cjs'), poisoned));
    const { code, stderr } = await start(['batch', root, '--output', job, '--queue', url, '--root', root]).ended;
    assert.equal(code, 2, stderr);
    assertComplete(job, paths, [join(root, 'poison.jpg')]);
    assert.equal(errorsOf(job)[0]?.error.code, 'ERR_CRASHED');
  });

  it("weights that can't be read when the detector's process is started again are the worker's failure, and no picture's", async function () {
    const { url } = await server(this);
    const counter = join(folder, 'started');
    // The first process dies of a picture, the second can't read the weights, the others can.
    const unreadable = `
      fs.appendFileSync(${JSON.stringify(counter)}, 'x');
      const start = fs.statSync(${JSON.stringify(counter)}).size;
      if (start === 1) process.on('message', ({ type }) => { if (type === 'detect') process.abort(); });
      const { open } = fs.promises;
      if (start === 2) fs.promises.open = (path, ...how) =>
        /pth$/.test(path) ? Promise.reject(new Error('EIO: i/o error')) : open(path, ...how);`;
    const one = worker(url, fixtures, [], inChildren(join(folder, 'unreadable.cjs'), unreadable));
    const said = heard(one.child);
    const inputs = photos.slice(0, 40);
    const { code, stderr } = await start(['batch', ...inputs, '--output', job, '--queue', url, '--root', fixtures]).ended;
    assert.equal(code, 0, stderr);
    assertComplete(job, inputs);
    assert.match(said(), /given back: .*can't be read: EIO/);
  });

  it('an engine that is closed takes no picture any more: looks at pictures may outlast it', async function () {
    const { url } = await server(this);
    const settings = { flip: false, scoreThreshold: 0.5 } as Parameters<typeof QueueEngine.start>[1]['settings'];
    const common = { weights: { given: 'digits', sha256: '0'.repeat(64) }, settings, precision: 'fp32' } as const;
    const engine = await QueueEngine.start({ url, root: fixtures }, common, () => undefined);
    await engine.close();
    await assert.rejects(engine.submit({ path: photos[0] as string }), { code: 'ERR_CLOSED' });
  });

  it('a job of few pictures has its turn while another one keeps the worker busy', async () => {
    const weights = { given: 'digits', sha256: await sha256(resolveWeights('digits').path) };
    const chunkOf = (scoreThreshold: number): Chunk => ({ weights, precision: 'auto', settings: { scoreThreshold }, entries: [{ path: 'a.jpg' }] }); // prettier-ignore
    const options = { queue: { url: 'redis://localhost' }, options: { device: 'cpu', threads: 1 } } as const;
    const engines = new Engines(options, new QueueRoot(folder), () => undefined, 0);
    let few: Promise<number> | undefined;
    let begun = 0;
    /** A chunk during which the next one comes. */
    const many = async (): Promise<void> => {
      let next: Promise<void> | undefined;
      await engines.use(chunkOf(0.5), async () => {
        few ??= engines.use(chunkOf(0.4), () => Promise.resolve(begun));
        const before = ++begun;
        if (before < 200) next = many();
        for (let turns = 0; turns < 1000 && begun === before; turns++) await new Promise(setImmediate);
      });
      await next;
    };
    await many();
    assert.ok(((await few) as number) < 50, `it waited for ${await few} chunks`);
    assert.equal(begun, 200);
    await engines.close();
  });

  it('reads nothing outside the root, whatever the queue says', async function () {
    const { url } = await server(this);
    const root = join(folder, 'root');
    mkdirSync(root);
    copyFileSync(photos[0] as string, join(root, 'in.jpg'));
    copyFileSync(photos[1] as string, join(folder, 'secret.jpg'));
    symlinkSync(join(folder, 'secret.jpg'), join(root, 'link.jpg'));
    const outside = await cornernet(['batch', join(folder, 'secret.jpg'), '--output', job, '--queue', url, '--root', root]);
    assert.deepEqual([outside.code, /ERR_INPUT: .* is outside the queue's root/.test(outside.stderr)], [1, true], outside.stderr);

    const one = worker(url, root);
    const linked = join(folder, 'linked');
    assert.equal((await cornernet(['batch', root, '--output', linked, '--queue', url, '--root', root])).code, 2);
    assertComplete(linked, [join(root, 'in.jpg'), join(root, 'link.jpg')], [join(root, 'link.jpg')]);
    assert.match(errorsOf(linked)[0]?.error.message ?? '', /outside this worker's root/);

    assert.equal(one.child.exitCode, null);
  });

  it("a worker without the job's weights gives its chunk back, says why and goes on; another takes it", async function () {
    const { url } = await server(this);
    const batch = start(['batch', photos[0] as string, '--output', job, '--queue', url, '--root', fixtures]);
    const other = worker(url, fixtures, ['--weights', join(fixtures, 'hourglass52_tiny.pth')]);
    const said = heard(other.child);
    await until(() => /given back: .*hourglass52_tiny\.pth has the sha256 [0-9a-f]{64}, the job's weights/.test(said()), 'the refusal');
    assert.deepEqual([other.child.exitCode, batch.child.exitCode], [null, null]);
    worker(url, fixtures);
    await until(async () => (await status(url)).workers.length === 2, 'the other worker');
    const returns = (): number => said().split('given back').length;
    const before = returns();
    const { code, stderr } = await batch.ended;
    assert.equal(code, 0, stderr);
    assert.ok(returns() <= before + 2, said()); // it lets the other go first
    assert.match(stderr, /a worker gave a chunk back, for others to take: it has no weights digits of the job's checksum/);
    assert.doesNotMatch(stderr, /hourglass52|[0-9a-f]{64}/);
  });

  it("weights that are no published ones are found below the worker's root, or by its option, or are asked for", async function () {
    const { url } = await server(this);
    const [root, elsewhere] = [join(folder, 'root'), join(folder, 'elsewhere')];
    for (const place of [root, elsewhere]) mkdirSync(place);
    copyFileSync(photos[0] as string, join(root, 'a.jpg'));
    copyFileSync(join(fixtures, 'hourglass52_tiny.pth'), join(root, 'mine.pth'));
    copyFileSync(join(fixtures, 'hourglass52_tiny.pth'), join(elsewhere, 'other.pth'));
    const batch = (output: string, weights: string): Promise<{ code: number | null; stderr: string }> =>
      start(['batch', join(root, 'a.jpg'), '--output', join(folder, output), '--queue', url, '--root', root, '--weights', weights]).ended;
    const first = worker(url, root);
    const said = heard(first.child);
    assert.equal((await batch('below', join(root, 'mine.pth'))).code, 0);
    const waiting = batch('beside', join(elsewhere, 'other.pth'));
    await until(
      () => /given back: the job's weights other\.pth are not below this worker's root: name them with --weights/.test(said()),
      'it',
    );
    first.child.kill('SIGTERM');
    worker(url, root, ['--weights', join(elsewhere, 'other.pth')]);
    assert.equal((await waiting).code, 0);
  });

  it('a server that is gone keeps neither a batch nor a worker from ending', async function () {
    const { url } = await server(this);
    const list = writeList(
      join(folder, 'list.txt'),
      Array.from({ length: 400 }, (_, i) => photos[i % 20] as string),
    );
    const batch = start(['batch', list, '--output', job, '--queue', url, '--root', fixtures]);
    const one = worker(url, fixtures);
    await until(() => resultsOf(job).length > 0, 'the first result');
    await bed.redis?.down('SIGKILL');
    await Promise.all([batch, one].map(({ child }) => pressTwice(child)));
    assert.equal((await batch.ended).code, 130);
    const { code, stderr } = await one.ended;
    assert.equal(code, 0, stderr);
  });

  it("a worker of the API ends within the abort's time, and nothing of it keeps the process", async function () {
    const { url } = await server(this);
    const here = join(folder, 'here');
    const hanging = inChildren(
      join(folder, 'hang.cjs'),
      `process.on('message', ({ type }) => {
         if (type !== 'detect') return;
         fs.writeFileSync(${JSON.stringify(here)}, '');
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
       });`,
    );
    start(['batch', photos[0] as string, '--output', job, '--queue', url, '--root', fixtures]);
    /** Milliseconds to its end, and from there to the process's. */
    const measure = async (controls: readonly string[], env: NodeJS.ProcessEnv): Promise<readonly [number, number]> => {
      rmSync(here, { force: true });
      const { code, stdout, stderr } = await runScript(
        `
        const [abort, finish] = [new AbortController(), new AbortController()];
        const working = jobs.runWorker({
          ...{ queue: ${JSON.stringify({ url, root: fixtures })}, options: { threads: 1 } },
          ...{ signal: abort.signal, finish: finish.signal, onMessage: console.error },
        });
        const { existsSync } = require('node:fs');
        const { setTimeout: sleep } = require('node:timers/promises');
        while (!existsSync(${JSON.stringify(env === process.env ? job : here)})) await sleep(20);
        let began;
        for (const control of ${JSON.stringify(controls)}) {
          await sleep(500);
          began = Date.now();
          ({ abort, finish })[control].abort();
        }
        await working;
        console.log(Date.now() - began);
        process.on('exit', () => console.log(Date.now() - began));`,
        { env },
      );
      assert.equal(code, 0, stderr);
      const [settled = NaN, ended = NaN] = stdout.trim().split('\n').map(Number);
      return [settled, ended - settled];
    };
    for (const [controls, env] of [
      [['abort'], hanging],
      [['finish', 'abort'], hanging],
      [['finish'], process.env],
    ] as const) {
      // A goodbye has three seconds; a finish has the chunk in hand, too. Of some attempts, since a busy machine is late by itself.
      const most = [controls.at(-1) === 'finish' ? Infinity : 2_500, 2_500] as const;
      const attempts: (readonly [number, number])[] = [];
      const isGood = ([settled, ended]: readonly [number, number]): boolean => settled < most[0] && ended < most[1];
      while (!attempts.some(isGood) && attempts.length < 3) attempts.push(await measure(controls, env));
      assert.ok(attempts.some(isGood), `${controls.join()}: ended after ${attempts.join(' ms, or ')} ms`);
    }
  });

  it('a status is shown and a batch takes its chunks back whatever else is in the queue; a worker that may not take its line back ends', async function () {
    const { url } = await server(this);
    const queue = bed.queue();
    const client = (await queue.client) as unknown as Redis;
    await client.hset(queue.toKey('damaged'), { name: 'chunk', data: '{' });
    await client.zadd(queue.toKey('failed'), 1, 'damaged');
    assert.equal((await status(url)).failed, 1);
    await client.acl('SETUSER', 'default', '-hgetall');
    const refused = await cornernet(['status', '--queue', url]);
    assert.match(refused.stderr, /^ERR_QUEUE: the queue can't be used: NOPERM [^\n]*hgetall[^\n]*\n$/);
    await client.acl('SETUSER', 'default', '+hgetall');
    const batch = start(['batch', ...photos, '--output', job, '--queue', url, '--root', fixtures]);
    await until(async () => (await queue.getWaitingCount()) > 0, 'chunks wait');
    await pressTwice(batch.child);
    assert.equal((await batch.ended).code, 130);
    assert.equal(await queue.getWaitingCount(), 0);

    await client.acl('SETUSER', 'default', '-hdel');
    const script = `
      const finish = new AbortController();
      const onMessage = () => setTimeout(() => finish.abort(), 500);
      await jobs.runWorker({ queue: ${JSON.stringify({ url, root: fixtures })}, finish: finish.signal, onMessage });`;
    const { code, stderr } = await runScript(script);
    assert.equal(code, 0, stderr);
  });

  it('a password is used, a wrong one and no server are clear errors', async function () {
    const { port } = await server(this, ['--requirepass', 'right:one']);
    const url = (password: string): string => `redis://:${password}@127.0.0.1:${port}`;
    const good = url(encodeURIComponent('right:one'));
    worker(good, fixtures);
    assert.equal((await cornernet(['batch', photos[0] as string, '--output', job, '--queue', good, '--root', fixtures])).code, 0);
    for (const [command, wrong, sentence] of [
      ['worker', url('wrong'), /^ERR_QUEUE: the queue at redis:\/\/127\.0\.0\.1:\d+ can't be used: .*(WRONGPASS|invalid)/m],
      ['status', `redis://127.0.0.1:${port}`, /^ERR_QUEUE: .*NOAUTH/m],
      ['status', 'redis://127.0.0.1:1', /^ERR_QUEUE: .*ECONNREFUSED/m],
      ['worker', `${good}/99`, /^ERR_QUEUE: .*DB index is out of range/m],
      ['status', 'redis://127.0.0.1/one', /^ERR_OPTION: the queue must be a redis:\/\/ or rediss:\/\/ URL .*number of a database/m],
      ['status', url('100%right'), /^ERR_OPTION: the queue's user and password must be percent-encoded in its URL: a % is %25$/m],
      ['status', 'http://127.0.0.1', /^ERR_OPTION: the queue must be a redis:\/\/ or rediss:\/\/ URL/m],
    ] as const) {
      const { code, stderr } = await cornernet([command, '--queue', wrong]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, sentence);
      assert.doesNotMatch(stderr, /wrong@|right/);
    }
  });

  it('a server that refuses a command that is needed is a clear error for each side', async function () {
    const { port } = await server(this, ['--user', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-@dangerous']);
    const queue = ['--queue', `redis://limited:secret@127.0.0.1:${port}`];
    for (const args of [['batch', photos[0] as string, '--output', job, '--root', fixtures], ['worker', '--root', fixtures], ['status']]) {
      const { code, stderr } = await cornernet([...args, ...queue]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^ERR_QUEUE: the queue at redis:\/\/127\.0\.0\.1:\d+ can't be used: NOPERM .*'info'/m);
      assert.doesNotMatch(stderr, /it is tried again|Unhandled|^ +at /m);
    }
  });

  it('speaks TLS with a server whose authority is named, and with no other', async function () {
    const { key, certificate } = await makeCertificate(this, folder, 'localhost', 'IP:127.0.0.1');
    const flags = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', certificate, '--tls-auth-clients', 'no'];
    const { port } = await server(this, flags, true);
    const url = `rediss://127.0.0.1:${port}`;
    worker(url, fixtures, ['--queue-ca', certificate]);
    const args = ['batch', photos[0] as string, '--output', job, '--queue', url, '--root', fixtures];
    assert.equal((await cornernet([...args, '--queue-ca', certificate])).code, 0);
    const { code, stderr } = await cornernet(['status', '--queue', url]);
    assert.deepEqual([code, /^ERR_QUEUE: .*certificate/m.test(stderr)], [1, true], stderr);
  });
});

it('a queue whose name can not be one is refused', async () => {
  const queue = ['--queue', 'redis://127.0.0.1:1', '--queue-name', 'a:b'];
  for (const command of [['status'], ['worker'], ['batch', photos[0] as string, '--output', 'none']]) {
    const { code, stderr } = await cornernet([...command, ...queue]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^ERR_OPTION: (batch|queue|worker) option (queue\.)?name is 'a:b': must have no colon/m);
  }
});

it('options that go through no queue, and those of a queue without one, are refused', async () => {
  const batch = ['batch', photos[0] as string, '--output', 'none'];
  for (const [args, sentence] of [
    ...['--device=cpu', '--threads=1', '--batch-size=1'].map(
      (flag) =>
        [['--queue', 'redis://127.0.0.1:1', flag], /^ERR_OPTION: option \w+ goes through no queue: it belongs to each worker's/m] as const,
    ),
    ...['--deterministic', '--no-cuda-graphs'].map(
      (flag) => [['--queue', 'redis://127.0.0.1:1', flag], /^ERR_OPTION: option \w+ goes through no queue: no worker takes it/m] as const,
    ),
    [['--queue-key-file', 'key'], /^ERR_OPTION: queue option keyFile is for a queue, and none is named: --queue redis:/m],
    [['--root', '.'], /^ERR_OPTION: queue option root is for a queue, and none is named: --queue redis:/m],
  ] as const) {
    const { code, stderr } = await cornernet([...batch, ...args]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, sentence);
  }
  const queue = { url: 'redis://127.0.0.1:1' };
  await assert.rejects(runBatch({ inputs: photos, output: 'none', queue, options: { threads: 1 } }), { code: 'ERR_OPTION' });
  await assert.rejects(runWorker({ queue, weights: 'nothing.pth' }), { code: 'ERR_WEIGHTS' });
});

describe("the queue's packages", () => {
  let home: string;
  eachInAFolder('queue', (made) => (home = made));

  it('are loaded by no door', async () => {
    const script = `
      require(${JSON.stringify(join(root, 'dist', 'jobs.js'))});
      console.log(JSON.stringify(Object.keys(require.cache)));`;
    const { stdout } = await runNode(['-e', script]);
    const modules = JSON.parse(stdout) as string[];
    assert.ok(modules.length > 5 && modules.length <= 150, `${modules.length} modules`);
    assert.deepEqual(
      modules.filter((path) => /node_modules\/(bullmq|ioredis)\//.test(path)),
      [],
    );
  });

  it('are named where they are needed and not installed', async function () {
    this.timeout(60_000);
    for (const part of ['dist', 'setup']) cpSync(join(root, part), join(home, part), { recursive: true });
    copyFileSync(join(root, 'package.json'), join(home, 'package.json'));
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
    for (const name of Object.keys(dependencies)) {
      mkdirSync(join(home, 'node_modules', name, '..'), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(home, 'node_modules', name));
    }
    for (const command of ['status', 'worker']) {
      const { code, stderr } = await runNode([join(home, 'dist', 'cli.js'), command, '--queue', 'redis://127.0.0.1']);
      const sentence = 'ERR_QUEUE: a queue needs the packages bullmq and ioredis: npm install bullmq ioredis\n';
      assert.deepEqual([code, stderr], [1, sentence]);
    }
  });
});
