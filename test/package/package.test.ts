// The packed package as its users get it: installed into an empty folder, built there, and used from every module system.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { root, skipBecause } from '../environment.js';
import { runNode } from '../support/child.js';
import { builtAgainst, fakeMachine } from '../support/fake-machine.js';
import { allInAFolder } from '../support/scratch.js';

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: { readonly path: string }[];
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function npm(args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env): Ran {
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 });
  return { status, stdout, stderr };
}

const picture = join(root, 'pictures', 'scene0.jpg');
const use = `
  const { detections, width } = await detector.detect(${JSON.stringify(picture)});
  await detector.close();
  console.log(width, detections[0].label);
`;

describe('the package', function () {
  this.timeout(900_000);
  let folder: string;
  let packed: Packed;
  let app: string;
  let home: string;
  allInAFolder('package', (made) => {
    folder = made;
    const { stdout } = npm(['pack', '--json', '--foreground-scripts=false', '--pack-destination', folder], root);
    packed = (JSON.parse(stdout) as [Packed])[0];
    app = join(folder, 'app');
    home = join(app, 'node_modules', 'cornernet');
    mkdirSync(app);
    writeFileSync(join(app, 'package.json'), '{ "name": "app", "version": "1.0.0", "private": true }');
  });

  it('is under 8 MB and holds sources, types and the demo weights, and no tests', () => {
    assert.ok(packed.size < 8e6, `${packed.size} bytes`);
    const paths = packed.files.map(({ path }) => path);
    for (const wanted of [
      'dist/index.js',
      'dist/index.mjs',
      'dist/types/index.d.ts',
      'dist/types/index.d.mts',
      'dist/unzip.js',
      'dist/cli.js',
      'weights/digits.pth',
      'weights/manifest.json',
      'pictures/scene0.jpg',
      'csrc/ops/cuda/corner_pool_kernel.cu',
      'csrc/ops/cpu/corner_pool_kernel.cpp',
      'cmake/FindLibTorch.cmake',
      'CMakeLists.txt',
      'binding.gyp',
      'setup/install.js',
      'LICENSE',
      'README.md',
    ]) {
      assert.ok(paths.includes(wanted), `${wanted} is missing`);
    }
    assert.deepEqual(
      paths.filter((path) => /^(test|bench\/(?!operators)|\.)/.test(path)),
      [],
    );
  });

  it('has everything that its README and the documents beside it link to', () => {
    const paths = new Set(packed.files.map(({ path }) => path));
    const documents = [...paths].filter((path) => path.endsWith('.md'));
    assert.ok(documents.length > 5);
    const missing = documents.flatMap((document) =>
      [...readFileSync(join(root, document), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map(([, link = '']) => join(dirname(document), link))
        .filter((path) => !paths.has(path))
        .map((path) => `${document} links to ${path}`),
    );
    assert.deepEqual(missing, []);
  });

  it('installs where there is no LibTorch: one line says what to do, importing and help work', async () => {
    // A PATH with Node and npm, but no Python whose torch could be found.
    const tools = join(folder, 'tools');
    mkdirSync(tools);
    writeFileSync(join(tools, 'python3'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const env = {
      ...process.env,
      LIBTORCH: '',
      CORNERNET_CACHE: join(folder, 'empty'),
      PATH: [tools, dirname(process.execPath), process.env['PATH']].join(delimiter),
    };
    const installed = npm(['install', '--foreground-scripts', '--no-audit', '--no-fund', join(folder, packed.filename)], app, env);
    assert.equal(installed.status, 0, installed.stderr);
    assert.match(installed.stdout + installed.stderr, /cornernet: no LibTorch was found, .* run `npx cornernet setup`/);
    assert.ok(!existsSync(join(folder, 'empty')), 'something was fetched');

    const load = "require('cornernet').Detector.load().catch((error) => console.log(error.code, error.message))";
    const onAlpine = await runNode(['-e', `process.report.getReport = () => ({ header: {} }); ${load}`], { cwd: app });
    assert.match(
      onAlpine.stdout,
      /^ERR_NOT_BUILT the native addon runs on Linux .*: this system has another C library, as Alpine Linux does/,
    );
    const loading = await runNode(['-e', load], { cwd: app });
    assert.match(loading.stdout, /^ERR_NOT_BUILT the native addon is not built: looked for .*cornernet\.node; run `npx cornernet setup`/);
    const help = await runNode([join(home, 'dist', 'cli.js'), '--help'], { cwd: app });
    assert.deepEqual([help.code, help.stderr], [0, '']);
    const doctor = await runNode([join(home, 'dist', 'cli.js'), 'doctor'], { cwd: app, env });
    assert.equal(doctor.code, 1);
    assert.match(doctor.stdout, /FIX {2}Addon[^]*npx cornernet setup/);
  });

  it('is light: few modules until a picture comes, few megabytes of packages beside its own', async () => {
    const count =
      'console.log(Object.keys(require.cache).length, process.moduleLoadList.length - before, Object.keys(require.cache).filter((file) => /sharp|bullmq|ioredis|undici/.test(file)).length)';
    for (const door of ['cornernet', 'cornernet/coco']) {
      const { stdout } = await runNode(['-e', `const before = process.moduleLoadList.length; require('${door}'); ${count}`], { cwd: app });
      const [own = NaN, nodes = NaN, heavy = NaN] = stdout.split(' ').map(Number);
      assert.ok(own + nodes <= 150 && heavy === 0, `${door} loads ${own} modules of packages, ${nodes} of Node's, ${heavy} heavy ones`);
    }
    const bytes = readdirSync(join(app, 'node_modules'), { recursive: true, withFileTypes: true })
      .map((entry) => [entry, join(entry.parentPath, entry.name)] as const)
      .filter(([entry, path]) => entry.isFile() && !path.startsWith(home))
      .reduce((sum, [, path]) => sum + statSync(path).size, 0);
    assert.ok(bytes > 1e6 && bytes <= 30e6, `${(bytes / 1e6).toFixed(1)} MB of packages`);
  });

  it('says in a bundle, which has none of its files, that it is to be kept out', async () => {
    cpSync(join(home, 'dist'), join(app, 'bundle', 'out'), { recursive: true });
    const bundled = "const { Detector, cornerPool } = require('./bundle/out');";
    const calls = "Promise.allSettled([Detector.load(), Detector.load('a.pth'), cornerPool(Float32Array.of(1), [1, 1], 'top')])";
    const show = 'for (const { reason } of all) console.log(reason.code, reason.message)';
    const { stdout } = await runNode(['-e', `${bundled} ${calls}.then((all) => { ${show} })`], { cwd: app });
    assert.match(stdout, /^(ERR_NOT_BUILT cornernet's own files are not in \S+\/bundle: keep the package out of the bundle \(.*\)\n){3}$/);
  });

  it('builds where a LibTorch is, with its install script', async () => {
    const libtorch = await builtAgainst();
    const { status, stdout, stderr } = npm(['rebuild', '--foreground-scripts', 'cornernet'], app, { ...process.env, LIBTORCH: libtorch });
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(join(home, 'build', 'Release', 'cornernet.node')), stdout + stderr);
  });

  it('works from CommonJS', async () => {
    const script = `(async () => { const { Detector } = require('cornernet'); const detector = await Detector.load(); ${use} })()`;
    assert.deepEqual(await runNode(['-e', script], { cwd: app }), { code: 0, signal: null, stdout: '480 4\n', stderr: '' });
  });

  it('works from ESM', async () => {
    writeFileSync(
      join(app, 'app.mjs'),
      `import { Detector, CornerNetError } from 'cornernet';\nconst detector = await Detector.load();${use}console.log(typeof CornerNetError);`,
    );
    assert.deepEqual(await runNode(['app.mjs'], { cwd: app }), { code: 0, signal: null, stdout: '480 4\nfunction\n', stderr: '' });
  });

  it('works in a context of its own, as Jest runs it: what Node and the addon throw and make is of another one', async () => {
    const script = `
      const { readFileSync } = require('node:fs');
      const { dirname, resolve } = require('node:path');
      const vm = require('node:vm');
      const given = { AbortController, AbortSignal, Blob, Buffer, ReadableStream, URL, clearInterval, clearTimeout, console, performance, process, setInterval, setTimeout };
      const context = vm.createContext(given);
      const modules = new Map();
      const load = (file) => {
        if (modules.has(file)) return modules.get(file).exports;
        const module = { exports: {} };
        modules.set(file, module);
        const inner = (id) => (id.startsWith('.') ? load(resolve(dirname(file), id)) : require(id));
        const parameters = ['module', 'exports', 'require', '__filename', '__dirname'];
        const importModuleDynamically = vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
        const body = vm.compileFunction(readFileSync(file, 'utf8'), parameters, { filename: file, parsingContext: context, importModuleDynamically });
        body(module, module.exports, inner, file, dirname(file));
        return module.exports;
      };
      const { Detector, CornerNetError } = load(${JSON.stringify(join(home, 'dist', 'index.js'))});
      const { runBatch } = load(${JSON.stringify(join(home, 'dist', 'jobs.js'))});
      const show = (error) => console.log(error instanceof CornerNetError, error.code, error.message);
      (async () => {
        await Detector.load(${JSON.stringify(picture)}).catch(show);
        const detector = await Detector.load();
        await detector.detect('none.jpg').catch(show);
        console.log((await detector.detect({ data: new Uint8ClampedArray(400), width: 10, height: 10 })).detections.length);
        console.log((await runBatch({ inputs: [${JSON.stringify(picture)}], output: ${JSON.stringify(join(app, 'context'))} })).state);
        ${use}
      })();`;
    const { stdout, stderr } = await runNode(['-e', script], { cwd: app });
    const [checkpoint, missing, ...found] = stdout.split('\n');
    assert.match(checkpoint ?? '', /^true ERR_CHECKPOINT .*scene0\.jpg/, stderr);
    assert.match(missing ?? '', /^true ERR_INPUT none\.jpg can't be read as a picture: ENOENT: /);
    assert.deepEqual(found, ['0', 'complete', '480 4', ''], stderr);
  });

  it("works in Yarn's Plug'n'Play, whose file functions are not Node's", async function () {
    const plugged = join(folder, 'plugged');
    mkdirSync(plugged);
    const npms = (setting: string): string => npm(['config', 'get', setting], folder).stdout.trim();
    const fetched = npm(['install', '--no-audit', '--no-fund', '--prefix', join(folder, 'yarn'), '@yarnpkg/cli-dist@4'], folder);
    assert.equal(fetched.status, 0, fetched.stderr);
    writeFileSync(join(plugged, 'package.json'), '{ "private": true }');
    writeFileSync(join(plugged, 'yarn.lock'), '');
    // Yarn reads none of npm's settings.
    const authority = npms('cafile') === 'null' ? {} : { httpsCaFilePath: npms('cafile') };
    const settings = { npmRegistryServer: npms('registry'), enableTelemetry: false, enableImmutableInstalls: false, ...authority };
    writeFileSync(join(plugged, '.yarnrc.yml'), JSON.stringify(settings));
    const env = {
      ...process.env,
      YARN_GLOBAL_FOLDER: join(folder, 'yarn-cache'),
      CORNERNET_ADDON: join(home, 'build', 'Release', 'cornernet.node'),
    };
    const bin = join(folder, 'yarn', 'node_modules', '@yarnpkg', 'cli-dist', 'bin', 'yarn.js');
    const yarn = (...args: string[]): ReturnType<typeof runNode> => runNode([bin, ...args], { cwd: plugged, env });
    const other = await yarn('add', 'zod');
    if (other.code !== 0) skipBecause(this, `Yarn installs nothing here: ${other.stdout}`);
    const added = await yarn('add', `cornernet@file:${join(folder, packed.filename)}`);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    const pictures = join(home, 'pictures');
    const detected = await yarn('cornernet', 'detect', pictures, '--output', 'results.jsonl', '--draw', 'drawn');
    assert.equal(detected.code, 0, detected.stderr);
    assert.equal(readFileSync(join(plugged, 'results.jsonl'), 'utf8').trimEnd().split('\n').length, readdirSync(pictures).length);
    const batch = await yarn('cornernet', 'batch', pictures, '--output', 'job');
    assert.equal(batch.code, 0, batch.stderr);
    const verified = await yarn('cornernet', 'batch', '--output', 'job', '--verify');
    assert.match(verified.stderr, /: the job is whole$/m);
  });

  for (const [resolution, module] of [
    ['node16', 'node16'],
    ['bundler', 'es2022'],
    ['node10', 'commonjs'], // TypeScript's own choice for CommonJS up to version 5
  ] as const) {
    it(`type-checks with moduleResolution ${resolution}, from ESM and CommonJS`, async () => {
      const source = `
        import { Detector, CornerNetError, cornerPool, type DetectionResult, type DetectOptions } from 'cornernet';
        import { runBatch, type BatchSummary } from 'cornernet/jobs';
        import { evaluateDetections, type CocoStats } from 'cornernet/coco';
        import { train, type TrainSummary } from 'cornernet/train';
        const options: DetectOptions = { flip: true, scoreThreshold: 0.5 };
        export async function run(signal: AbortSignal): Promise<DetectionResult> {
          await using detector = await Detector.load('digits', { device: ['cpu', 'cpu'], precision: 'auto' });
          for await (const result of detector.detectAll(['a.jpg'], { signal, concurrency: 4 })) {
            if ('error' in result) { const error: CornerNetError = result.error; console.log(error.code); }
            else console.log(result.detections[0]?.box[3].toFixed(1));
          }
          const pooled: Float32Array = await cornerPool(Float32Array.of(1), [1, 1], 'top');
          console.log(pooled.length);
          return detector.detect(new URL('file:///a.jpg'), options);
        }
        export const batch = (): Promise<BatchSummary> => runBatch({ inputs: ['a.jpg'], output: 'job' });
        export const ap = (): CocoStats => evaluateDetections({ images: [], annotations: [], categories: [] }, []).stats;
        export const learn = (output: string): Promise<TrainSummary> => train({ images: 'a', annotations: 'a.json', output });
        // @ts-expect-error: there is no such option
        void Detector.load('digits', { devise: 'cpu' });
      `;
      writeFileSync(join(app, 'check.mts'), source);
      writeFileSync(join(app, 'check.cts'), source);
      const compiler = {
        module,
        moduleResolution: resolution,
        target: 'es2022',
        lib: ['es2022', 'esnext.disposable', 'dom'],
        strict: true,
        noEmit: true,
        types: ['node'],
      };
      writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: compiler, files: ['check.mts', 'check.cts'] }));
      cpSync(join(root, 'node_modules', '@types', 'node'), join(app, 'node_modules', '@types', 'node'), { recursive: true });
      cpSync(join(root, 'node_modules', 'undici-types'), join(app, 'node_modules', 'undici-types'), { recursive: true });
      const { code, stdout } = await runNode([require.resolve('typescript/bin/tsc'), '-p', app], { cwd: app });
      assert.equal(stdout, '');
      assert.equal(code, 0);
    });
  }

  it('installs from git, compiled', async () => {
    using machine = fakeMachine();
    const env = { ...process.env, ...machine.env, HOME: process.env['HOME'], LIBTORCH: '' };
    writeFileSync(join(machine.folder, 'package.json'), '{ "private": true }');
    const installed = npm(['install', '--no-audit', '--no-fund', `git+file://${root}`], machine.folder, env);
    assert.equal(installed.status, 0, installed.stderr);
    const { code, stdout } = await runNode([join(machine.folder, 'node_modules', 'cornernet', 'dist', 'cli.js'), '--version'], { env });
    assert.deepEqual(
      [code, stdout],
      [0, `${(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version}\n`],
    );
  });

  it('names its files executable and typed', () => {
    assert.ok(statSync(join(home, 'dist', 'cli.js')).mode & 0o100);
  });
});
