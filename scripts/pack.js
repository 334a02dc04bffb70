// Packs what is published: the package, and platform packages with a prebuilt addon that the package names as optional dependencies.
//   node scripts/pack.js [cpu] [cu126] [cu130]     into output/packages; an addon for a CUDA build needs that CUDA's toolkit, and no GPU
// An addon is for the processor that it is packed on; on ARM64 there is cpu alone.
// The package names the platform packages of its version that lie in output/packages, also those that were made before or elsewhere; they are published
// together, the platform packages first. The repository's package.json names none, because `npm ci` wants every dependency in the lock file, and a
// name that is not published yet would be taken from whoever publishes something by that name.
'use strict';
const { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const { buildPrebuilt } = require('../setup/build.js');
const { say } = require('../setup/console.js');
const { fetchLibtorch } = require('../setup/fetch.js');
const { root } = require('../setup/paths.js');
const { makePlan } = require('../setup/plan.js');
const { packageName } = require('../setup/prebuilt.js');
const { OLDEST_GLIBC, PROCESSORS } = require('../setup/platform.js');
const { must } = require('../setup/run.js');
const { VARIANTS } = require('../setup/variant.js');

const output = join(root, 'output', 'packages');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** The newest versions of its symbols that an addon may need: LibTorch's own builds and Node need no older system. */
const BASELINE = { GLIBC: OLDEST_GLIBC, GLIBCXX: [3, 4, 25], CXXABI: [1, 3, 11] };

function isNewer(version, than) {
  const at = version.findIndex((part, index) => part !== (than[index] ?? 0));
  return at >= 0 && version[at] > (than[at] ?? 0);
}

/** Of whom LibTorch and Node need not say which version: their own, and what comes with them. */
const BROUGHT = /^(napi_|node_api_|cuda|__cuda|omp_|GOMP_)/;

async function symbols(which, file) {
  return (await must('nm', ['--dynamic', which, file])).split('\n');
}

/** Refuses an addon that needs what neither the baseline nor LibTorch has. */
async function checkBaseline(addon, libtorch) {
  const needed = await symbols('--undefined-only', addon);
  const newer = needed.filter((line) => {
    const [, library, version] = /@(GLIBC|GLIBCXX|CXXABI)_([\d.]+)/.exec(line) ?? [];
    return library !== undefined && isNewer(version.split('.').map(Number), BASELINE[library]);
  });
  const folder = join(libtorch.folder, 'lib');
  const libraries = readdirSync(folder).filter((name) => /^lib(c10|torch)(_cpu|_cuda)?\.so$/.test(name));
  const defined = await Promise.all(libraries.map((name) => symbols('--defined-only', join(folder, name))));
  const brought = new Set(defined.flat().map((line) => line.split(' ').pop()));
  const unknown = needed.flatMap((line) => / U ([^@]+)$/.exec(line)?.[1] ?? []).filter((name) => !BROUGHT.test(name) && !brought.has(name));
  const beyond = [...newer.map((line) => line.trim()), ...unknown];
  if (beyond.length > 0) throw new Error(`${addon} needs a newer system than LibTorch does:\n${beyond.join('\n')}`);
}

function emptyFolder(name) {
  const folder = join(output, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Packs a folder into the output folder. */
async function pack(folder) {
  const args = ['pack', '--json', '--foreground-scripts=false', '--pack-destination', output];
  const [{ filename, size }] = JSON.parse(await must('npm', args, { cwd: folder }));
  say(`${join('output', 'packages', filename)}: ${(size / 1e6).toFixed(1)} MB`);
}

async function packAddon(variant) {
  const plan = await makePlan({ libtorch: variant, source: true, tell: say });
  const libtorch = plan.libtorch ?? (await fetchLibtorch(variant));
  const addon = await buildPrebuilt(libtorch, plan);
  await checkBaseline(addon, libtorch);
  const folder = emptyFolder(packageName(variant));
  copyFileSync(addon, join(folder, 'cornernet.node'));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const what = `${manifest.name}'s native addon for Linux on ${PROCESSORS[process.arch]} (glibc ${OLDEST_GLIBC.join('.')} or newer) and LibTorch ${libtorch.version} (${variant})`;
  writeFileSync(join(folder, 'README.md'), `# ${packageName(variant)}\n\n${what}. \`npx ${manifest.name} setup\` puts it to use.\n`);
  const { version, license, repository } = manifest;
  const platform = { os: ['linux'], cpu: [process.arch], libc: ['glibc'], preferUnplugged: true, files: ['cornernet.node'] };
  const own = { name: packageName(variant), version, description: what, license, repository, ...platform, libtorch: libtorch.version };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
  await pack(folder);
}

/** The files that npm would pack, with a package.json that names the platform packages and nothing that only a clone has. */
async function packMain() {
  const dry = ['pack', '--dry-run', '--json', '--foreground-scripts=false'];
  const [{ files }] = JSON.parse(await must('npm', dry, { cwd: root }));
  const folder = emptyFolder(manifest.name);
  for (const { path } of files) cpSync(join(root, path), join(folder, path));
  const [begin, end] = [`${manifest.name}-linux-`, `-${manifest.version}.tgz`];
  const beside = readdirSync(output).flatMap((name) => (name.startsWith(begin) && name.endsWith(end) ? [name.slice(0, -end.length)] : []));
  const optionalDependencies = Object.fromEntries(beside.map((name) => [name, manifest.version]));
  const own = { ...manifest, scripts: { install: manifest.scripts.install }, devDependencies: undefined, optionalDependencies };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
  await pack(folder);
}

async function packAll(variants) {
  const unknown = variants.find((variant) => !VARIANTS.includes(variant));
  if (unknown) throw new Error(`there is no build '${unknown}': ${VARIANTS.join(', ')}`);
  for (const variant of variants) await packAddon(variant);
  await packMain();
}

packAll(process.argv.slice(2)).catch((error) => {
  say(error.message);
  process.exitCode = 1;
});
