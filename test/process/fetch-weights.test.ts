// cornernet weights fetch, of a package whose manifest has a small file: what is held ever after, what is fetched again, several at once, and over what.
import { strict as assert } from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { root } from '../environment.js';
import { until } from '../support/batch.js';
import { runNode, type Ended, type RunOptions } from '../support/child.js';
import { file, redirect, serve, serveProxy, stallAfter, type Handler } from '../support/flaky-server.js';
import { eachInAFolder, makeCertificate } from '../support/scratch.js';

const content = randomBytes(300_000);
const sha256 = createHash('sha256').update(content).digest('hex');
const name = `tiny-${sha256.slice(0, 8)}.pth`;

describe('cornernet weights fetch', function () {
  this.timeout(60_000);
  let folder: string;
  let fetched: string;
  eachInAFolder('fetch', (made) => {
    folder = made;
    for (const part of ['dist', 'setup', 'package.json']) cpSync(join(root, part), join(folder, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    mkdirSync(join(folder, 'weights'));
    const manifest = JSON.parse(readFileSync(join(root, 'weights', 'manifest.json'), 'utf8')) as { weights: object[] };
    manifest.weights.push({
      ...manifest.weights[0],
      id: 'tiny',
      config: 'tiny',
      url: `https://weights.invalid/${name}`,
      sha256: sha256.slice(0, 8),
    });
    writeFileSync(join(folder, 'weights', 'manifest.json'), JSON.stringify(manifest));
    fetched = join(folder, 'cache', 'weights', name);
  });

  const weights = (args: readonly string[], { env, ...options }: RunOptions = {}): Promise<Ended> =>
    runNode([join(folder, 'dist', 'cli.js'), 'weights', ...args], {
      ...options,
      env: { ...process.env, ...env, CORNERNET_CACHE: join(folder, 'cache') },
    });
  const fetchFrom = ({ url }: { readonly url: string }, options?: RunOptions): Promise<Ended> =>
    weights(['fetch', 'tiny', '--mirror', url], options);

  function assertFetched({ code, stderr }: Ended): void {
    assert.equal(code, 0, stderr);
    assert.deepEqual(readFileSync(fetched), content);
    assert.equal(readFileSync(`${fetched}.sha256`, 'utf8'), `${sha256}  ${name}\n`);
    assert.deepEqual(readdirSync(join(folder, 'cache', 'weights')).sort(), [name, `${name}.sha256`]);
  }

  it('keeps the whole sha256, and fetches again what is damaged', async () => {
    await using server = await serve(file(content));
    assertFetched(await fetchFrom(server));
    assertFetched(await fetchFrom(server));
    assert.equal(server.requests.length, 1);
    truncateSync(fetched, 1000);
    assert.match((await weights(['verify', fetched])).stderr, /^ERR_CHECKPOINT: .* not [0-9a-f]{8}\.\.\.: it is damaged/);
    assertFetched(await fetchFrom(server));
    assert.equal(server.requests.length, 2);
  });

  it('refuses what has the right first digits and another whole sha256 than before, and says how to accept it', async () => {
    await using server = await serve(file(content));
    assertFetched(await fetchFrom(server));
    const other = `${sha256.slice(0, 8)}${'0'.repeat(56)}`;
    writeFileSync(`${fetched}.sha256`, `${other}  ${name}\n`);
    assert.match((await fetchFrom(server)).stderr, /^ERR_CHECKPOINT: .* to accept the change, remove .*\.sha256/);
    assert.match(
      (await weights(['verify', fetched])).stderr,
      new RegExp(`^ERR_CHECKPOINT: .* not ${other}: it is damaged or another file`),
    );
    writeFileSync(`${fetched}.sha256`, '');
    assert.match((await fetchFrom(server)).stderr, /^ERR_CHECKPOINT: .*\.sha256 holds no sha256 .* remove it/);
    writeFileSync(`${fetched}.sha256`, `${other}  ${name}\n`);
    rmSync(fetched);
    assert.match(
      (await fetchFrom(server)).stderr,
      new RegExp(`^ERR_DOWNLOAD: .*${sha256}, and had ${other} .* to accept the change, remove .*\\.sha256`),
    );
    assert.ok(!existsSync(fetched));
    rmSync(`${fetched}.sha256`);
    assertFetched(await fetchFrom(server));
  });

  it('several at once all succeed', async () => {
    const arrived: (() => void)[] = [];
    // Each has half of it before any has the rest.
    const together: Handler = (_, response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 150_000));
      arrived.push(() => response.end(content.subarray(150_000)));
      if (arrived.length === 3) for (const go of arrived) go();
    };
    await using server = await serve(together);
    for (const ended of await Promise.all([fetchFrom(server), fetchFrom(server), fetchFrom(server)])) assertFetched(ended);
  });

  it('goes on where one was killed, and leaves alone what one that lives is at', async () => {
    await using stalling = await serve(stallAfter(content, 120_000));
    const parts = (): string[] => (existsSync(join(folder, 'cache', 'weights')) ? readdirSync(join(folder, 'cache', 'weights')) : []);
    const whole = (): boolean => parts().some((part) => readFileSync(join(folder, 'cache', 'weights', part)).length === 120_000);
    await using server = await serve(file(content));
    const killed = await fetchFrom(stalling, {
      during: (child) =>
        void until(whole, 'the beginning')
          .then(() => fetchFrom(server))
          .then(({ code }) => {
            assert.equal(code, 0);
            assert.equal(parts().length, 3);
            rmSync(fetched);
            child.kill('SIGKILL');
          }),
    });
    assert.equal(killed.signal, 'SIGKILL');
    assertFetched(await fetchFrom(server));
    assert.deepEqual(
      server.requests.map(({ range }) => range),
      [undefined, 'bytes=120000-'],
    );
  });

  it('goes over https alone, through the proxy that the environment names, and follows no redirect away from it', async function () {
    const { key, certificate } = await makeCertificate(this, folder, 'weights.invalid', 'DNS:weights.invalid');
    await using plain = await serve(file(content));
    const answers = [redirect(`${plain.url}/${name}`), redirect('/elsewhere'), file(content)];
    const secure = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) =>
      answers.shift()?.(request, response),
    );
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    await using proxy = await serveProxy(`https://127.0.0.1:${(secure.address() as AddressInfo).port}`);
    const env = { https_proxy: proxy.url, NODE_EXTRA_CA_CERTS: certificate };
    try {
      const led = await weights(['fetch', 'tiny'], { env });
      assert.match(led.stderr, /^ERR_DOWNLOAD: https:.* a redirect to http:\/\/127.* is not followed: it is not https/);
      assert.equal(plain.requests.length, 0);
      assertFetched(await weights(['fetch', 'tiny'], { env }));
      assert.ok(proxy.hosts.length > 0 && proxy.hosts.every((host) => host === 'weights.invalid:443'), proxy.hosts.join());
    } finally {
      secure.closeAllConnections();
      secure.close();
    }
    rmSync(fetched);
    const asked = await fetchFrom({ url: 'http://weights.invalid/' });
    assert.match(asked.stderr, /^ERR_DOWNLOAD: .*nothing is fetched but over https/);
    assert.match((await fetchFrom({ url: 'nowhere' })).stderr, /^ERR_OPTION: the mirror nowhere is no URL/);
  });
});
