// Watching a batch and a worker: Prometheus's text and the health check, fetched while real ones run.
import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

import { assertComplete, childrenOf, photos, until, writeList } from '../support/batch.js';
import { root } from '../environment.js';
import { Metrics } from '../../lib/jobs/metrics.js';
import { cornernet, inChildren, runNode, startCornernet, waitingFor } from '../support/child.js';
import { RedisServer } from '../support/redis.js';
import { eachInAFolder } from '../support/scratch.js';

type Running = ReturnType<typeof startCornernet>;

describe('--metrics', function () {
  this.timeout(240_000);
  let folder: string;
  let job: string;
  let redis: RedisServer | undefined;
  let running: Running[];
  // Above the folder's hooks: it goes when nothing works in it any more.
  afterEach(async () => {
    for (const { child, ended } of running) {
      child.kill('SIGKILL');
      await ended;
    }
    await redis?.down('SIGKILL');
    redis = undefined;
  });
  eachInAFolder('metrics', (made) => {
    folder = made;
    job = join(folder, 'job');
    running = [];
  });

  async function start(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Running & { readonly url: string }> {
    const one = startCornernet([...args, '--metrics', '0'], env);
    running.push(one);
    let said = '';
    one.child.stderr?.on('data', (text: Buffer) => (said += text.toString()));
    const address = (): string | undefined => /metrics at (http:\/\/127\.0\.0\.1:\d+)\/metrics/.exec(said)?.[1];
    await until(() => address() !== undefined, 'the metrics are served');
    return { ...one, url: address() ?? '' };
  }

  /** Values by name and labels, as Prometheus reads them. */
  async function scrape(url: string): Promise<Map<string, number>> {
    const response = await fetch(`${url}/metrics`);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
  }

  async function scrapeUntil(url: string, condition: (values: Map<string, number>) => boolean): Promise<Map<string, number>> {
    let values = new Map<string, number>();
    await until(async () => condition((values = await scrape(url))), 'such metrics');
    return values;
  }

  it('says of a batch what is done and failed, what waits, how fast, in how much memory and on which device', async () => {
    writeFileSync(join(folder, 'bad.jpg'), 'no picture');
    const some = [join(folder, 'bad.jpg'), ...photos.slice(0, 100)];
    const { url, ended } = await start(['batch', writeList(join(folder, 'list.txt'), some), '--output', job, '--device', 'cpu']);
    const values = await scrapeUntil(url, (now) => (now.get('cornernet_pictures_done_total') ?? 0) >= 3);
    const of = (name: string): number => values.get(`cornernet_${name}`) ?? NaN;
    assert.equal(of('pictures_failed_total{code="ERR_INPUT"}'), 1);
    assert.ok(of('pictures_done_total') + of('pictures{state="pending"}') <= 100 && of('pictures{state="pending"}') > 0);
    assert.ok(of('pictures{state="in_hand"}') > 0 && of('pictures_per_second') > 0 && of('picture_bytes_total') > 3000);
    assert.ok(of('resident_memory_bytes{process="supervisor"}') > 2e7 && of('resident_memory_bytes{process="detector"}') > 5e7);
    assert.equal(of('device_in_service{device="cpu"}'), 1);
    assert.ok([...values.keys()].some((name) => name.startsWith('cornernet_info{version="')));
    const health = await fetch(`${url}/health`);
    assert.deepEqual([health.status, await health.json()], [200, { status: 'ok' }]);
    assert.equal((await fetch(`${url}/elsewhere`)).status, 404);
    assert.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405);
    // As a page would ask whose name is made to lead to the loopback.
    const { port } = new URL(url);
    const status = await new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/metrics', headers: { host: 'elsewhere.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    assert.equal(status, 403);
    const { code, stderr } = await ended;
    assert.equal(code, 2, stderr);
    assertComplete(job, some, [join(folder, 'bad.jpg')]);
    await assert.rejects(fetch(`${url}/metrics`));
  });

  it('is unwell while the process with the detector is down, and well again afterwards', async () => {
    const many = Array<string[]>(20).fill(photos).flat();
    const [started, go] = [join(folder, 'started'), join(folder, 'go')];
    const second = `
      const begun = fs.existsSync(${JSON.stringify(started)});
      fs.writeFileSync(${JSON.stringify(started)}, '');
      if (begun) ${waitingFor(go)}`;
    const { url, child, ended } = await start(
      ['batch', writeList(join(folder, 'list.txt'), many), '--output', job, '--device', 'cpu'],
      inChildren(join(folder, 'second.cjs'), second),
    );
    await scrapeUntil(url, (now) => (now.get('cornernet_pictures_done_total') ?? 0) >= 1);
    for (const pid of childrenOf(child.pid ?? 0)) process.kill(pid, 'SIGKILL');
    let reason = '';
    for (let status = 200; status !== 503;) {
      const health = await fetch(`${url}/health`);
      status = health.status;
      reason = await health.text();
    }
    assert.match(reason, /the detector's process is being started/);
    assert.equal((await scrape(url)).get('cornernet_device_in_service{device="cpu"}'), 0);
    writeFileSync(go, '');
    await scrapeUntil(url, (now) => now.get('cornernet_device_in_service{device="cpu"}') === 1);
    assert.equal((await fetch(`${url}/health`)).status, 200);
    child.kill('SIGTERM');
    assert.equal((await ended).code, 130);
  });

  it('says of a worker and of a batch that hands out how deep the queue is, and that it is gone', async function () {
    redis = await RedisServer.start(this, folder);
    const pictures = dirname(photos[0] ?? '');
    const queue = ['--queue', redis.url, '--root', pictures];
    const some = photos.slice(0, 100);
    const batch = await start(['batch', writeList(join(folder, 'list.txt'), some), '--output', job, ...queue]);
    // Nobody takes them: seven chunks wait.
    await scrapeUntil(batch.url, (now) => now.get('cornernet_queue_chunks{state="waiting"}') === 7);
    const worker = await start(['worker', ...queue, '--device', 'cpu', '--threads', '1']);
    const wanted = ['pictures_done_total', 'picture_bytes_total', 'queue_chunks{state="active"}', 'pictures_per_second'];
    const values = await scrapeUntil(worker.url, (now) => wanted.every((name) => (now.get(`cornernet_${name}`) ?? 0) > 0));
    assert.equal(values.get('cornernet_device_in_service{device="cpu"}'), 1);
    assert.equal((await batch.ended).code, 0);
    assertComplete(job, some);
    const last = await scrapeUntil(worker.url, (now) => now.get('cornernet_pictures{state="in_hand"}') === 0);
    assert.equal(last.get('cornernet_pictures_done_total'), 100);
    await redis.down('SIGKILL');
    const health = await fetch(`${worker.url}/health`);
    assert.equal(health.status, 503);
    assert.match(await health.text(), /the queue/);
    assert.equal((await scrape(worker.url)).get('cornernet_pictures_done_total'), 100);
  });

  it('a port that is taken is an error before any work', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const { code, stderr } = await cornernet(['batch', photos[0] ?? '', '--output', job, '--metrics', String(port)]);
    taken.close();
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^ERR_OPTION: metrics can't be served on port ${port}: .*EADDRINUSE`, 'm'));
    assert.match((await cornernet(['batch', photos[0] ?? '', '--output', job, '--metrics', '70000'])).stderr, /^ERR_OPTION: .*metrics/m);
  });

  it('tells the rate by a steady clock, whatever the time of day does', async () => {
    let url = '';
    const metrics = await Metrics.serve(0, { health: () => undefined }, (text) => (url = text.replace(/^metrics at |\/metrics$/g, '')));
    const { now } = Date;
    Date.now = () => now() - 86_400_000;
    try {
      for (let i = 0; i < 5; i++)
        await metrics.measured({ path: '/nowhere' }, Promise.resolve({ image: '', width: 1, height: 1, detections: [] }));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const rate = (await scrape(url)).get('cornernet_pictures_per_second') ?? NaN;
      assert.ok(rate > 0 && rate < 5 / 0.15, `${rate} pictures a second`); // five in at least 200 ms, as timers count them
    } finally {
      Date.now = now;
      await metrics.close();
    }
  });

  it('its library is loaded with the option alone', async () => {
    const script = `require(${JSON.stringify(join(root, 'dist', 'jobs.js'))}); console.log(Object.keys(require.cache).join());`;
    const { stdout } = await runNode(['-e', script]);
    assert.match(stdout, /dist\/jobs\.js/);
    assert.doesNotMatch(stdout, /metrics/);
    assert.match(readFileSync(join(root, 'dist', 'bundled-licences.txt'), 'utf8'), /^prom-client .* \(Apache-2\.0\)\n\n\s*Apache License/m);
  });
});
