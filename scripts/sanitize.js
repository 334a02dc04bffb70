// Runs the native tests and a selection of the others under gcc's sanitizers.
//   npm run test:sanitize [-- address | thread | kernels]
// address: AddressSanitizer, its leak check and UndefinedBehaviorSanitizer, on all of csrc; the native tests, and tests of the addon in Node.
// thread: ThreadSanitizer, on what has threads of its own (test/sanitize/CMakeLists.txt).
// kernels: both, on the CUDA kernels' bodies at a real network's shapes, threads being fibers (test/sanitize/kernels.cpp).
'use strict';
const { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { isAbsolute, join } = require('node:path');

const { say, step } = require('../setup/console.js');
const { must, run, SetupError } = require('../setup/run.js');

const root = join(__dirname, '..');
const sources = join(root, 'test', 'sanitize');

/** What the addon does in Node, as far as a sanitizer leaves it possible: what refuses a process memory refuses it the shadow memory too. */
const addonTests = ['test/unit/native.test.ts', 'test/unit/detector.test.ts', 'test/process/exit.test.ts'];
const impossible = 'no memory to be had|5472x3648|give their memory back';

/** The sanitizer's own library, which has to be there before Node's; undefined where it is not installed. */
async function runtimeOf(name) {
  const { code, output } = await run(process.env.CXX || 'c++', [`-print-file-name=lib${name}.so`]);
  if (code === 0 && isAbsolute(output.trim())) return output.trim();
  const lack = `gcc's lib${name} is not installed (apt-get install g++)`;
  if (process.env.CORNERNET_REQUIRE === '1') throw new SetupError(lack);
  say(`skipped: ${lack}`);
  return undefined;
}

async function build(title, from, folder, sanitizers, targets, definitions = []) {
  const generator = (await run('ninja', ['--version'])).code === 0 ? 'Ninja' : 'Unix Makefiles';
  const flags = `-O1 -g1 -fno-omit-frame-pointer -fsanitize=${sanitizers} -fno-sanitize-recover=all`;
  const options = ['CMAKE_BUILD_TYPE=None', `CMAKE_CXX_FLAGS=${flags}`, ...definitions].map((definition) => `-D${definition}`);
  await step(title, async (note) => {
    await must('cmake', ['-S', from, '-B', folder, '-G', generator, ...options]);
    const jobs = ['--parallel', String(availableParallelism())];
    await must('cmake', ['--build', folder, ...jobs, '--target', ...targets], { onLine: (line) => note(line.split(' ')[0] ?? '') });
  });
}

/** The parts of the repository that its tests use, around another addon. */
function cloneAround(folder) {
  for (const name of ['lib', 'dist', 'test', 'weights', 'setup', 'package.json', 'tsconfig.json']) {
    rmSync(join(folder, name), { recursive: true, force: true });
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  if (!existsSync(join(folder, 'node_modules'))) symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
}

/** Its last lines; all of it when it fails. */
async function check(title, program, args, options) {
  await step(title, async () => {
    const { code, output } = await run(program, args, options);
    if (code !== 0) throw new SetupError(`exit code ${code}:\n${output}`);
    say(output.trim().split('\n').slice(-3).join('\n'));
  });
}

/** Of native tests: what `kernels` runs, at larger shapes. */
const kernelBodies = ['-CUDA bod', "-scans' bod", "-pair's bod"];

async function address() {
  const runtime = await runtimeOf('asan');
  if (runtime === undefined) return;
  const folder = join(root, 'build', 'sanitize-address');
  const clone = join(folder, 'clone');
  mkdirSync(clone, { recursive: true });
  const definitions = ['CORNERNET_TESTING=ON', 'CORNERNET_CUDA=0', `CORNERNET_OUTPUT=${join(clone, 'build', 'Release')}`];
  await build('Building with AddressSanitizer', root, folder, 'address,undefined', ['native_tests', 'cornernet'], definitions);
  cloneAround(clone);
  // Node and its JavaScript leave much to the end of the process: leaks are the native tests' business.
  const env = { ...process.env, LD_PRELOAD: runtime, ASAN_OPTIONS: 'detect_leaks=0' };
  const mocha = [join(root, 'node_modules', 'mocha', 'bin', 'mocha.js'), '--no-config', '--import=tsx', '--timeout', '300000'];
  await Promise.all([
    ...['--even', '--odd'].map((half) => check(`Native tests, ${half}`, join(folder, 'native_tests'), [half, ...kernelBodies])),
    check('Tests in Node', process.execPath, [...mocha, '--grep', impossible, '--invert', ...addonTests], { cwd: clone, env }),
  ]);
}

async function thread() {
  const runtime = await runtimeOf('tsan');
  if (runtime === undefined) return;
  const folder = join(root, 'build', 'sanitize-thread');
  await build('Building with ThreadSanitizer', sources, folder, 'thread', ['thread_tests', 'channel']);
  await check('Threads', join(folder, 'thread_tests'), []);
  const env = { ...process.env, LD_PRELOAD: runtime, TSAN_OPTIONS: `suppressions=${join(sources, 'thread.supp')}` };
  await check('Channels in Node', process.execPath, [join(sources, 'channel.cjs'), join(folder, 'channel.node')], { env });
}

async function kernels() {
  if ((await runtimeOf('asan')) === undefined || (await runtimeOf('tsan')) === undefined) return;
  const underEach = async (title, sanitizers) => {
    const folder = join(root, 'build', `sanitize-kernels-${sanitizers.split(',')[0]}`);
    await build(`Building the kernels' bodies with ${title}`, sources, folder, sanitizers, ['kernels']);
    await check(`Kernels, under ${title}`, join(folder, 'kernels'), []);
    return folder;
  };
  // Each is one thread, whose fibers take turns: both at once.
  const [, folder] = await Promise.all([underEach('AddressSanitizer', 'address,undefined'), underEach('ThreadSanitizer', 'thread')]);
  // A body that forgets a barrier shows that the check can fail.
  const { code, output } = await run(join(folder, 'kernels'), ['racy']);
  if (code === 0 || !output.includes('data race')) throw new SetupError(`a race between two threads was not reported:\n${output}`);
  say('a body that forgets a barrier is reported');
}

async function sanitize(names) {
  const sanitizers = { thread, address, kernels };
  const unknown = names.find((name) => !Object.hasOwn(sanitizers, name));
  if (unknown !== undefined) throw new SetupError(`there is no sanitizer ${unknown}: there are ${Object.keys(sanitizers).join(', ')}`);
  for (const name of names.length > 0 ? names : Object.keys(sanitizers)) await sanitizers[name]();
}

sanitize(process.argv.slice(2)).catch((error) => {
  say(error.code === 'ERR_SETUP' ? error.message : error.stack);
  process.exitCode = 1;
});
