// The set-up: which LibTorch is taken, which is passed over and why, and what an interrupted fetch leaves.
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { root } from '../environment.js';
import { runNode, type Ended } from '../support/child.js';
import { file, serve, stallAfter } from '../support/flaky-server.js';

interface Probe {
  gpus: { name: string; computeCapability: number }[];
  cuda: number;
}

/* eslint-disable @typescript-eslint/no-require-imports -- the set-up is plain CommonJS */
const { chooseVariant } = require('../../setup/variant.js') as {
  chooseVariant: (probe: Probe) => { variant: string; reason: string };
};
const { isSupported } = require('../../setup/libtorch.js') as { isSupported: (version: string) => boolean };
/* eslint-enable @typescript-eslint/no-require-imports */

/** The LibTorch that this project was built against. */
const libtorch = /LIBTORCH:\w+=(.+)/.exec(readFileSync(join(root, 'build', 'CMakeCache.txt'), 'utf8'))?.[1] ?? '';

describe('choosing a build of LibTorch', () => {
  const gpus = (...capabilities: number[]): Probe['gpus'] => capabilities.map((computeCapability) => ({ name: 'GPU', computeCapability }));
  for (const [what, probe, variant] of [
    ['no driver', { gpus: [], cuda: 0 }, 'cpu'],
    ['a V100 with an old driver', { gpus: gpus(7.0), cuda: 12.2 }, 'cu126'],
    ['a V100 with a new driver', { gpus: gpus(7.0), cuda: 13.0 }, 'cu126'],
    ['a V100 beside an A100', { gpus: gpus(7.0, 8.0), cuda: 13.0 }, 'cu126'],
    ['a T4 with a new driver', { gpus: gpus(7.5), cuda: 13.1 }, 'cu130'],
    ['H100s with a CUDA 12 driver', { gpus: gpus(9.0, 9.0), cuda: 12.4 }, 'cu126'],
    ['an H200 with a new driver', { gpus: gpus(9.0), cuda: 13.0 }, 'cu130'],
    ['a Blackwell GPU', { gpus: gpus(12.0), cuda: 13.0 }, 'cu130'],
    ['a Blackwell GPU with a CUDA 12 driver', { gpus: gpus(12.0), cuda: 12.8 }, 'cpu'],
    ['a V100 beside a Blackwell GPU', { gpus: gpus(7.0, 12.0), cuda: 13.0 }, 'cpu'],
    ['a driver that is too old', { gpus: gpus(8.0), cuda: 11.4 }, 'cpu'],
  ] as [string, Probe, string][]) {
    it(`${what}: ${variant}`, () => {
      const chosen = chooseVariant(probe);
      assert.equal(chosen.variant, variant);
      assert.ok(chosen.reason.length > 10);
    });
  }

  it('supports 2.11 to 2.13', () => {
    assert.deepEqual(
      ['2.10.1', '2.11.0', '2.12.3', '2.13.0', '2.14.0', '3.11.0', '1.13.0'].map((version) => isSupported(version)),
      [false, true, true, true, false, false, false],
    );
  });
});

describe('finding LibTorch', function () {
  this.timeout(120_000);
  let folder: string;
  let env: NodeJS.ProcessEnv;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cornernet-setup-'));
    mkdirSync(join(folder, 'bin'));
    setPython('');
    env = {
      PATH: `${join(folder, 'bin')}:${dirname(process.execPath)}:/usr/bin:/bin`,
      HOME: folder,
      CORNERNET_CACHE: join(folder, 'cache'),
    };
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** A python3 whose torch is in this folder; '' for one without torch, and without a pip that finds anything. */
  function setPython(torch: string): void {
    const script = `#!/bin/sh\nif [ "$1" = "-c" ]; then echo "${torch}"; exit 0; fi\necho 'No matching distribution found' >&2\nexit 1\n`;
    writeFileSync(join(folder, 'bin', 'python3'), script, { mode: 0o755 });
  }

  const find = (): Promise<Ended> =>
    runNode(
      [
        '-e',
        `require('./setup/libtorch.js').findLibtorch(console.log).then((found) => console.log(JSON.stringify(found) ?? 'none'), (error) => console.log(error.message))`,
      ],
      { env },
    );

  /** A folder laid out as LibTorch, with the headers of `version` and the real libraries. */
  function fakeLibtorch(at: string, version: string): string {
    const [major, minor, patch] = version.split('.');
    const headers = join(at, 'include', 'torch', 'headeronly');
    mkdirSync(headers, { recursive: true });
    writeFileSync(
      join(headers, 'version.h'),
      `#define TORCH_VERSION_MAJOR ${major ?? ''}\n#define TORCH_VERSION_MINOR ${minor ?? ''}\n#define TORCH_VERSION_PATCH ${patch ?? ''}\n`,
    );
    symlinkSync(join(libtorch, 'lib'), join(at, 'lib'));
    return at;
  }

  it('looks at LIBTORCH, then Python, then the cache', async () => {
    const cached = fakeLibtorch(join(folder, 'cache', 'libtorch', '2.13.0+cpu', 'torch'), '2.13.0');
    assert.match((await find()).stdout, /"source":"cache"/);
    setPython(fakeLibtorch(join(folder, 'python', 'torch'), '2.12.0'));
    assert.match((await find()).stdout, /"version":"2\.12\.0","source":"Python"/);
    env['LIBTORCH'] = cached;
    assert.match((await find()).stdout, /"source":"LIBTORCH"/);
  });

  it('passes over other versions, and what does not load, with the reason', async () => {
    setPython(fakeLibtorch(join(folder, 'python', 'torch'), '2.9.1'));
    const broken = join(folder, 'cache', 'libtorch', '2.13.0+cpu', 'torch');
    fakeLibtorch(broken, '2.13.0');
    rmSync(join(broken, 'lib'));
    mkdirSync(join(broken, 'lib'));
    for (const name of ['libc10.so', 'libtorch_cpu.so', 'libtorch.so']) {
      cpSync(join(libtorch, 'lib', 'libc10.so'), join(broken, 'lib', name));
    }
    truncateSync(join(broken, 'lib', 'libtorch_cpu.so'), 1000);
    const { stdout } = await find();
    assert.match(stdout, /passing over .*python.*: it is version 2\.9\.1; 2\.11 to 2\.13 are supported/);
    assert.match(stdout, /passing over .*cache.*: .*libtorch_cpu\.so/);
    assert.match(stdout, /none\n$/);
  });

  it('a LIBTORCH that can not be used is an error: nothing else is taken instead', async () => {
    fakeLibtorch(join(folder, 'cache', 'libtorch', '2.13.0+cpu', 'torch'), '2.13.0');
    env['LIBTORCH'] = join(folder, 'nowhere');
    assert.match((await find()).stdout, /^LIBTORCH names .*nowhere, which can't be used: it has no LibTorch headers\n$/);
  });

  /** The official archive in small: the real LibTorch's layout, whose libraries are too large to pack here, can't be; so a broken one. */
  function archiveOf(content: Record<string, Buffer>): Buffer {
    const source = join(folder, 'archive');
    for (const [name, bytes] of Object.entries(content)) {
      mkdirSync(dirname(join(source, name)), { recursive: true });
      writeFileSync(join(source, name), bytes);
    }
    spawnSync('cmake', ['-E', 'tar', 'cf', '../archive.zip', '--format=zip', 'libtorch'], { cwd: source });
    return readFileSync(join(folder, 'archive.zip'));
  }

  const ensure = (): Promise<Ended> =>
    runNode(
      [
        '-e',
        `require('./setup/libtorch.js').ensureLibtorch().then(() => console.log('there'), (error) => { console.log(error.message); process.exitCode = 1; })`,
      ],
      { env },
    );

  it('a set-up that is killed leaves nothing half-made, and the next one goes on', async () => {
    const archive = archiveOf({ 'libtorch/include/random.h': randomBytes(400_000) });
    const halfway = Math.floor(archive.length / 2);
    await using stalling = await serve(stallAfter(archive, halfway));
    env['CORNERNET_LIBTORCH_URL'] = `${stalling.url}/libtorch.zip`;
    const script = `require('./setup/libtorch.js').ensureLibtorch()`;
    const child = spawn(process.execPath, ['-e', script], { cwd: root, env, stdio: 'ignore' });
    const part = join(folder, 'cache', 'partial', '2.13.0+cpu', 'libtorch.zip.part');
    while (!existsSync(part) || readFileSync(part).length < halfway) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.on('close', resolve));
    assert.deepEqual(
      readdirSync(join(folder, 'cache', 'libtorch')).filter((name) => !name.startsWith('.')),
      [],
    );
    assert.match((await find()).stdout, /none/);

    await using server = await serve(file(archive));
    env['CORNERNET_LIBTORCH_URL'] = `${server.url}/libtorch.zip`;
    const ended = await ensure();
    assert.equal(server.requests[0]?.range, `bytes=${halfway}-`);
    // It arrived whole and was unpacked; that it is no LibTorch is found by loading it, and it is not kept.
    assert.match(ended.stdout, /the LibTorch that was fetched can't be loaded: .*libc10\.so is missing/);
    assert.deepEqual(
      readdirSync(join(folder, 'cache', 'libtorch')).filter((name) => !name.startsWith('.unpacking')),
      [],
    );
  });

  it('refuses an archive with another checksum', async () => {
    await using server = await serve(file(archiveOf({ 'libtorch/include/a.h': Buffer.from('a') })));
    env['CORNERNET_LIBTORCH_URL'] = `${server.url}/libtorch.zip`;
    env['CORNERNET_LIBTORCH_SHA256'] = '0'.repeat(64);
    const ended = await ensure();
    assert.match(ended.stdout, /has the sha256 [0-9a-f]{64}, not 0{64}/);
    assert.equal(ended.code, 1);
  });

  it('CMake says what is wrong in a sentence', () => {
    const configure = (...args: string[]): string => {
      const { stderr, status } = spawnSync('cmake', ['-S', root, '-B', join(folder, 'build'), ...args], {
        encoding: 'utf8',
        env: { ...process.env, LIBTORCH: '' },
      });
      assert.notEqual(status, 0);
      rmSync(join(folder, 'build'), { recursive: true, force: true });
      return stderr.replace(/\s+/g, ' ');
    };
    assert.match(configure(`-DLIBTORCH=${join(folder, 'nowhere')}`), /No LibTorch was found.*npx cornernet setup/);
    const old = fakeLibtorch(join(folder, 'old'), '2.10.0');
    mkdirSync(join(old, 'include', 'torch', 'csrc', 'api', 'include', 'torch'), { recursive: true });
    writeFileSync(join(old, 'include', 'torch', 'csrc', 'api', 'include', 'torch', 'torch.h'), '');
    assert.match(configure(`-DLIBTORCH=${old}`), /LibTorch 2\.10\.0 at .* is not supported: cornernet needs 2\.11, 2\.12 or 2\.13/);
    if (!existsSync(join(libtorch, 'lib', 'libtorch_cuda.so'))) {
      assert.match(configure(`-DLIBTORCH=${libtorch}`, '-DCORNERNET_CUDA=1'), /CORNERNET_CUDA=1, but the LibTorch at .* is a CPU build/);
    }
  });
});
