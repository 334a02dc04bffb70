// The packed package with its prebuilt addon, as somebody without a compiler gets it.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { root } from '../environment.js';
import { runNode, type Ended } from '../support/child.js';
import { builtAgainst, fakeMachine, type FakeMachine } from '../support/fake-machine.js';

const packages = join(root, 'output', 'packages');

interface Manifest {
  readonly version: string;
  readonly optionalDependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly scripts: Record<string, string>;
}

const ofCpu = `cornernet-linux-${process.arch}-cpu`;

describe('the prebuilt addon', function () {
  this.timeout(300_000);
  let machine: FakeMachine;
  let app: string;
  before(async () => {
    const packed = await runNode([join(root, 'scripts', 'pack.js'), 'cpu']);
    assert.equal(packed.code, 0, packed.stderr);
    machine = fakeMachine();
    for (const name of ['cmake', 'c++', 'g++', 'clang++'])
      writeFileSync(join(machine.folder, 'bin', name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    app = join(machine.folder, 'app');
    mkdirSync(app);
    writeFileSync(join(app, 'package.json'), '{ "name": "app", "version": "1.0.0", "private": true }');
  });
  after(() => {
    machine[Symbol.dispose]();
  });

  const home = (): string => join(app, 'node_modules', 'cornernet');
  const addon = (): string => join(home(), 'build', 'Release', 'cornernet.node');
  const npm = (...args: string[]): string => {
    const env = { ...process.env, ...machine.env, HOME: process.env['HOME'], LIBTORCH: '' };
    const { status, stdout, stderr } = spawnSync('npm', [...args, '--no-audit', '--no-fund', '--foreground-scripts'], {
      cwd: app,
      env,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout + stderr);
    return stdout + stderr;
  };
  const setup = (): Promise<Ended> => runNode([join(home(), 'dist', 'cli.js'), 'setup'], { cwd: app, env: machine.env });

  it('is a package of a few megabytes that the package depends on, and names no place of this machine', async () => {
    const archives = readdirSync(packages).filter((name) => name.endsWith('.tgz'));
    const { version, optionalDependencies, devDependencies, scripts } = JSON.parse(
      readFileSync(join(packages, 'cornernet', 'package.json'), 'utf8'),
    ) as Manifest;
    assert.ok(archives.includes(`cornernet-${version}.tgz`) && archives.includes(`${ofCpu}-${version}.tgz`), archives.join());
    assert.equal(optionalDependencies?.[ofCpu], version);
    assert.deepEqual([devDependencies, Object.keys(scripts)], [undefined, ['install']]);
    for (const archive of archives) assert.ok(readFileSync(join(packages, archive)).length < 8e6, archive);
    const made = readFileSync(join(packages, ofCpu, 'cornernet.node'), 'latin1');
    assert.ok(made.includes('\0$ORIGIN/libtorch/lib\0') && !made.includes(root) && !made.includes(dirname(await builtAgainst())));
    const clone = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
    assert.equal(clone.optionalDependencies, undefined);
  });

  it('waits for a LibTorch, and says so in a line', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
    const said = npm('install', ...['cornernet', ofCpu].map((name) => join(packages, `${name}-${version}.tgz`)));
    assert.match(said, /^cornernet: no LibTorch was found, so the native addon is not ready yet: run `npx cornernet setup`/m);
    const doctor = await runNode([join(home(), 'dist', 'cli.js'), 'doctor'], { cwd: app, env: machine.env });
    assert.match(doctor.stdout, /FIX {2}LibTorch .*\n.* which fetches the cpu build of LibTorch and takes the prebuilt addon/);
  });

  it('is put in place by setup, without a compiler, and loads the LibTorch that is there', async () => {
    const cached = machine.cached('2.13.0+cpu');
    mkdirSync(dirname(cached), { recursive: true });
    symlinkSync(await builtAgainst(), cached);
    const first = await setup();
    assert.deepEqual([first.code, first.stdout], [0, `The prebuilt addon is in place for LibTorch 2.13.0 at ${cached}\n`], first.stderr);
    assert.equal((await setup()).stdout, 'Everything is in place\n');
    const demo = await runNode([join(home(), 'dist', 'cli.js'), 'demo'], { cwd: app, env: machine.env });
    assert.equal(demo.code, 0, demo.stderr);
    assert.equal(readdirSync(join(app, 'output')).length, 4);
  });

  it('and by npm where all is there', () => {
    npm('ci');
    assert.ok(existsSync(addon()));
  });

  it('serves two installations and worker threads in one process', async () => {
    const other = join(machine.folder, 'other', 'cornernet');
    cpSync(home(), other, { recursive: true, verbatimSymlinks: true });
    symlinkSync(join(app, 'node_modules'), join(machine.folder, 'other', 'node_modules'));
    const use = (path: string): string => `require(${JSON.stringify(path)}).Detector.load().then(async (detector) => {
      const { detections } = await detector.detect(${JSON.stringify(join(home(), 'pictures', 'scene0.jpg'))});
      await detector.close();
      return detections[0].label;
    })`;
    const script = `const { Worker } = require('node:worker_threads');
      const inWorker = (path) => new Promise((resolve, reject) => new Worker("const { parentPort, workerData } = require('node:worker_threads');" +
        "eval(workerData).then((label) => parentPort.postMessage(label))", { eval: true, workerData: path }).on('message', resolve).on('error', reject));
      Promise.all([${use(home())}, ${use(other)}, inWorker(${JSON.stringify(use(home()))}), inWorker(${JSON.stringify(use(other))})])
        .then((labels) => console.log(labels.join()));`;
    const { stdout, stderr } = await runNode(['-e', script], { cwd: app, env: machine.env });
    assert.equal(stdout, '4,4,4,4\n', stderr);
  });

  it('that does not load gives way to one that is built, or the sentence says what building lacks', async () => {
    rmSync(join(home(), 'build'), { recursive: true });
    truncateSync(join(dirname(home()), ofCpu, 'cornernet.node'), 10_000);
    for (let tries = 0; tries < 2; tries++) {
      const { code, stderr } = await setup();
      assert.equal(code, 1);
      assert.match(stderr, /the prebuilt addon .*cornernet\.node can't be loaded, so one is built: /);
      assert.match(
        stderr,
        /ERR_LIBTORCH: the addon can't be built: CMake is not installed: install a C\+\+20 compiler, CMake 3\.18 or newer and make\n/,
      );
    }
  });
});
