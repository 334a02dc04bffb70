// Building the addon with cmake-js, unless nothing changed since the last time.
'use strict';
const { createHash } = require('node:crypto');
const { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const { step } = require('./console.js');
const { must, run, SetupError } = require('./run.js');

const root = join(__dirname, '..');
const stamp = join(root, 'build', 'stamp');

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}

/** Everything the addon is made of. */
function fingerprint(libtorch, testing) {
  const hash = createHash('sha256').update(JSON.stringify([libtorch, testing, process.env.CORNERNET_CUDA ?? '', process.versions.napi]));
  const sources = ['CMakeLists.txt', 'cmake', 'csrc', ...(testing ? ['test/native'] : [])];
  for (const file of sources.flatMap((name) => filesBelow(join(root, name)))) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

function isBuilt(testing) {
  const addons = ['cornernet', ...(testing ? ['cornernet_testing'] : [])];
  return addons.every((name) => existsSync(join(root, 'build', 'Release', `${name}.node`)));
}

function stampedWith() {
  return existsSync(stamp) ? readFileSync(stamp, 'utf8').split('\n') : [];
}

/** Whether a compiler and CMake are here; the sentence that says what isn't. */
async function missingTools() {
  if ((await run('cmake', ['--version'])).code !== 0) return 'CMake is not installed';
  for (const compiler of [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean)) {
    if ((await run(compiler, ['--version'])).code === 0) return undefined;
  }
  return 'no C++ compiler is installed';
}

/**
 * @param {{ folder: string, version: string }} libtorch
 * @param {{ testing?: boolean }} [options] testing also builds the addon of the native tests
 */
async function buildAddon(libtorch, { testing = false } = {}) {
  // An addon built with the tests serves without them too.
  const wanted = [true, false].filter((withTests) => withTests || !testing).map((withTests) => fingerprint(libtorch, withTests));
  if (wanted.includes(stampedWith()[0]) && isBuilt(testing)) return false;
  const missing = await missingTools();
  if (missing) throw new SetupError(`the addon can't be built: ${missing} (a C++20 compiler and CMake 3.18 or newer are needed)`);
  rmSync(stamp, { force: true });
  const ninja = (await run('ninja', ['--version'])).code === 0;
  const cache = join(root, 'build', 'CMakeCache.txt');
  // CMake refuses to change its generator.
  if (existsSync(cache) && /CMAKE_GENERATOR:INTERNAL=Ninja/.test(readFileSync(cache, 'utf8')) !== ninja)
    rmSync(join(root, 'build'), { recursive: true });
  const args = [
    require.resolve('cmake-js/bin/cmake-js', { paths: [root] }),
    'build',
    '--directory',
    root,
    ...(ninja ? ['--generator', 'Ninja'] : ['--generator', 'Unix Makefiles', '--parallel', '4']),
    `--CDLIBTORCH=${libtorch.folder}`,
    `--CDCORNERNET_TESTING=${testing ? 'ON' : 'OFF'}`,
    // A cached LibTorch of another place must not outlive it.
    '--CDLibTorch_INCLUDE_DIR=',
  ];
  await step('Building the addon', (note) =>
    must(process.execPath, args, {
      cwd: root,
      onLine: (line) => {
        const progress = /^\[\s*(\d+)\/(\d+)\]|^\[\s*(\d+%)\]/.exec(line);
        if (progress) note(progress[3] ?? `${progress[1]} of ${progress[2]}`);
      },
    }),
  );
  writeFileSync(stamp, `${fingerprint(libtorch, testing)}\n`);
  return true;
}

module.exports = { buildAddon, missingTools, root };
