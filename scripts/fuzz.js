// Fuzzes what reads untrusted bytes: the native targets (test/fuzz/*.cpp) with libFuzzer, the properties (test/fuzz/*.test.ts) with fast-check.
//   npm run fuzz [-- --minutes N] [--target NAME]... [--jobs N] [--keep]
// --minutes: of all targets together (default 10). --jobs: how many at once (default: the cores). --keep: afterwards, the inputs that reach more
// become the kept corpus. An input that breaks a target is written to test/fuzz/found, where npm test replays it.
'use strict';
const { existsSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { basename, join } = require('node:path');
const { parseArgs } = require('node:util');

const { say, step } = require('../setup/console.js');
const { plain } = require('../setup/plain.js');
const { must, run, SetupError } = require('../setup/run.js');

const root = join(__dirname, '..');
const sources = join(root, 'test', 'fuzz');
const build = join(root, 'build', 'fuzz');

const namesOf = (ending) =>
  readdirSync(sources)
    .filter((name) => name.endsWith(ending))
    .map((name) => basename(name, ending));

const native = namesOf('.cpp');
const properties = namesOf('.test.ts');

async function hasClang() {
  if ((await run('clang++', ['--version'])).code === 0) return true;
  const lack = 'clang is not installed (apt-get install clang llvm libclang-rt-14-dev)';
  if (process.env.CORNERNET_REQUIRE === '1') throw new SetupError(lack);
  say(`skipped: ${native.join(', ')}: ${lack}`);
  return false;
}

async function buildTargets(names) {
  const generator = (await run('ninja', ['--version'])).code === 0 ? 'Ninja' : 'Unix Makefiles';
  await step('Building the fuzz targets', async () => {
    await must('cmake', ['-S', sources, '-B', build, '-G', generator, '-DCMAKE_CXX_COMPILER=clang++']);
    await must('cmake', ['--build', build, '--parallel', String(availableParallelism()), '--target', ...names]);
  });
}

function made(...parts) {
  const folder = join(...parts);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** What libFuzzer was told to do, and the end of what it said. */
async function fuzzNative(name, seconds) {
  const dictionary = ['literal', 'config'].includes(name) ? 'config.dict' : 'checkpoint.dict';
  const corpora = [made(build, 'corpus', name), made(sources, 'corpus', name)];
  const found = made(sources, 'found', name);
  const limits = ['-max_len=16384', '-timeout=60', '-rss_limit_mb=2048', `-max_total_time=${seconds}`];
  const { code, output } = await run(join(build, name), [
    ...corpora,
    ...limits,
    `-dict=${join(sources, dictionary)}`,
    `-artifact_prefix=${found}/`,
    '-print_final_stats=1',
  ]);
  if (readdirSync(found).length === 0) rmdirSync(found);
  const executed = /number_of_executed_units: (\d+)/.exec(output)?.[1];
  return { good: code === 0, said: code === 0 ? `${executed} inputs` : output.split('\n').slice(-60).join('\n') };
}

/** Only what reaches new code: libFuzzer is quick to find again what runs it more often. */
async function keepCorpus(name) {
  const kept = made(sources, 'corpus', name);
  const merged = `${kept}.new`;
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged);
  await must(join(build, name), ['-set_cover_merge=1', '-use_counters=0', merged, kept, join(build, 'corpus', name)]);
  rmSync(kept, { recursive: true });
  renameSync(merged, kept);
  say(`${name}: ${readdirSync(kept).length} inputs are kept`);
}

/** Five minutes more than it was given, its start on a busy machine included, and it hangs: then, and when the process dies, what it was at is what broke it. */
async function fuzzProperty(name, seconds) {
  const current = join(made(build), `${name}.current`);
  rmSync(current, { force: true });
  const mocha = [join(root, 'node_modules', 'mocha', 'bin', 'mocha.js'), '--no-config', '--import=tsx', '--timeout', '0'];
  const { code, output } = await run('timeout', [String(seconds + 300), process.execPath, ...mocha, join(sources, `${name}.test.ts`)], {
    cwd: root,
    env: { ...process.env, CORNERNET_FUZZ_SECONDS: String(seconds), NODE_OPTIONS: '--max-old-space-size=512' },
  });
  if (existsSync(current)) renameSync(current, join(made(sources, 'found', name), `hang-${process.pid}`));
  return { good: code === 0, said: code === 0 ? (/^\d+ inputs$/m.exec(output)?.[0] ?? '') : output.trim() };
}

function optionsOf(args) {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '10' },
      target: { type: 'string', multiple: true, default: [] },
      jobs: { type: 'string', default: String(availableParallelism()) },
      keep: { type: 'boolean', default: false },
    },
  });
  const [minutes, jobs] = [Number(values.minutes), Number(values.jobs)];
  const all = [...native, ...properties];
  const unknown = values.target.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new SetupError(`there is no target ${unknown}: there are ${all.join(', ')}`);
  if (!(minutes > 0) || !(jobs >= 1)) throw new SetupError('--minutes and --jobs are numbers above 0');
  return { minutes, jobs, keep: values.keep, targets: values.target.length > 0 ? values.target : all };
}

async function fuzz(args) {
  const { minutes, jobs, keep, targets } = optionsOf(args);
  const wantsNative = targets.some((name) => native.includes(name));
  const waiting = wantsNative && !(await hasClang()) ? targets.filter((name) => properties.includes(name)) : [...targets];
  const natives = waiting.filter((name) => native.includes(name));
  if (natives.length > 0) await buildTargets(natives);
  const seconds = Math.max(1, Math.round((minutes * 60) / waiting.length));
  let broken = 0;
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const { good, said } = await (native.includes(name) ? fuzzNative : fuzzProperty)(name, seconds);
      if (!good) broken += 1;
      console.log(plain(`${name}: ${good ? 'held' : `BROKE; the input is in test/fuzz/found/${name}`}: ${said}`));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  if (keep) for (const name of natives) await keepCorpus(name);
  if (broken > 0) process.exitCode = 1;
}

fuzz(process.argv.slice(2)).catch((error) => {
  say(error.code === 'ERR_SETUP' || error.code?.startsWith('ERR_PARSE_ARGS') ? error.message : error.stack);
  process.exitCode = 1;
});
