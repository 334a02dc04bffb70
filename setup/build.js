// Building the addon with CMake, unless nothing changed since the last time.
'use strict';
const { createHash } = require('node:crypto');
const { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } = require('node:fs');
const { availableParallelism, freemem } = require('node:os');
const { dirname, join, relative } = require('node:path');

const { step } = require('./console.js');
const { addonPath, root } = require('./paths.js');
const { must, run } = require('./run.js');

const BYTES_PER_COMPILER = 1.5e9;
/** CMake's own, so that the other ways in, which build in build/, have theirs. */
const tree = join(root, 'build', 'cmake');
/** What it was last configured with; missing where the next build begins anew. */
const configured = join(tree, 'configured');
/** How the addon that is there came to be. */
const record = join(root, 'build', 'addon.json');

/** @typedef {{ made: 'prebuilt' | 'built', key: string, libtorch: import('./libtorch.js').Libtorch, files: Record<string, string> }} AddonRecord */

/** Size and time of a file: another one's in its place shows. */
function identityOf(path) {
  if (!existsSync(path)) return undefined;
  const { size, mtimeMs } = statSync(path);
  return `${size} ${mtimeMs}`;
}

/** @returns {AddonRecord | undefined} of the addon that is there; undefined when there is none, or it came another way */
function addonRecord() {
  if (!existsSync(record)) return undefined;
  const read = JSON.parse(readFileSync(record, 'utf8'));
  return Object.entries(read.files).every(([name, identity]) => identityOf(addonPath(name)) === identity) ? read : undefined;
}

function forgetAddon() {
  rmSync(record, { force: true });
}

function writeRecord(made, key, libtorch, names) {
  const files = Object.fromEntries(names.map((name) => [name, identityOf(addonPath(name))]));
  writeFileSync(`${record}.${process.pid}`, JSON.stringify({ made, key, libtorch, files }));
  renameSync(`${record}.${process.pid}`, record);
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}

/** What CMake is given; its folder serves one such configuration. */
async function configuration(libtorch, { cuda, nvcc }) {
  const ninja = (await run('ninja', ['--version'])).code === 0;
  const headers = ['node-api-headers', 'node-addon-api'].map((name) => dirname(require.resolve(`${name}/package.json`, { paths: [root] })));
  const compilers = ['CXX', 'CXXFLAGS', 'CUDAFLAGS', 'CUDAHOSTCXX', 'LDFLAGS'].map((name) => [name, process.env[name]]);
  return {
    root,
    libtorch: [libtorch.folder, libtorch.version, libtorch.variant],
    include: `${join(headers[0], 'include')};${headers[1]}`,
    generator: process.env.CMAKE_GENERATOR || (ninja ? 'Ninja' : 'Unix Makefiles'),
    env: { ...Object.fromEntries(compilers), CORNERNET_CUDA: cuda ? '1' : '0', CUDACXX: cuda ? nvcc : undefined },
  };
}

function keyOf(settings, testing) {
  const hash = createHash('sha256').update(JSON.stringify([settings, testing]));
  const sources = ['CMakeLists.txt', 'cmake', 'csrc', ...(testing ? ['test/native', 'test/fuzz'] : [])];
  for (const file of sources.flatMap((name) => filesBelow(join(root, name)))) hash.update(relative(root, file)).update(readFileSync(file));
  return hash.digest('hex');
}

/** Configures and builds; what is there already is not built again. */
async function makeTarget(libtorch, settings, definitions, target) {
  // Whatever was configured otherwise, elsewhere or without success begins anew; the addons stay until others are linked.
  const asBefore = existsSync(configured) && readFileSync(configured, 'utf8') === JSON.stringify(settings);
  rmSync(asBefore ? configured : tree, { recursive: true, force: true });
  // Through the environment, because a definition would stay in CMake's cache and outlive a changed environment for the other ways in.
  const env = { ...process.env, ...settings.env, LIBTORCH: libtorch.folder };
  const forgotten = ['LIBTORCH', 'CORNERNET_CUDA'].flatMap((name) => ['-U', name]);
  const given = { CMAKE_BUILD_TYPE: 'Release', CMAKE_JS_INC: settings.include, CORNERNET_OUTPUT: dirname(addonPath('')), ...definitions };
  const options = Object.entries(given).map(([name, value]) => `-D${name}=${value}`);
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / BYTES_PER_COMPILER)));
  await step('Building the addon', async (note) => {
    await must('cmake', ['-S', root, '-B', tree, '-G', settings.generator, ...forgotten, ...options], { env });
    writeFileSync(configured, JSON.stringify(settings));
    const onLine = (line) => {
      const progress = /^\[\s*(\d+)\/(\d+)\]|^\[\s*(\d+%)\]/.exec(line);
      if (progress) note(progress[3] ?? `${progress[1]} of ${progress[2]}`);
    };
    await must('cmake', ['--build', tree, '--target', target, '--parallel', String(jobs)], { env, onLine });
  });
}

/**
 * @param {import('./libtorch.js').Libtorch} libtorch
 * @param {{ cuda: boolean, nvcc?: string, testing?: boolean }} options testing also builds the addon of the native tests
 * @returns {Promise<boolean>} whether anything had to be done
 */
async function buildAddon(libtorch, { cuda, nvcc, testing = false }) {
  const settings = await configuration(libtorch, { cuda, nvcc });
  const current = addonRecord()?.key;
  // An addon built with the tests serves without them too.
  if (current !== undefined && (current === keyOf(settings, true) || (!testing && current === keyOf(settings, false)))) return false;
  // What came another way is as good as old: linking it anew must not seem needless.
  if (addonRecord()?.made !== 'built' && existsSync(addonPath('cornernet'))) utimesSync(addonPath('cornernet'), 0, 0);
  forgetAddon();
  const key = keyOf(settings, testing); // before the build: what is edited meanwhile is built the next time,
  await makeTarget(libtorch, settings, { CORNERNET_TESTING: testing ? 'ON' : 'OFF' }, 'all');
  if (keyOf(settings, testing) !== key) rmSync(configured); // whole: what was edited while it was compiled is older than its object
  writeRecord('built', key, libtorch, ['cornernet', ...(testing ? ['cornernet_testing'] : [])]);
  return true;
}

/** The addon that platform packages have (cmake/Prebuilt.cmake). @returns {Promise<string>} its path */
async function buildPrebuilt(libtorch, { cuda, nvcc }) {
  await makeTarget(libtorch, await configuration(libtorch, { cuda, nvcc }), { CORNERNET_PREBUILT: 'ON' }, 'cornernet_prebuilt');
  return join(tree, 'prebuilt', 'cornernet.node');
}

module.exports = { addonRecord, buildAddon, buildPrebuilt, forgetAddon, identityOf, writeRecord };
