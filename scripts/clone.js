// All the set-up of a clone, for `npm start` and `npm test`; quick when nothing changed.
//   node scripts/clone.js             npm packages, dist/, LibTorch and the addon
//   node scripts/clone.js --testing   with the addon of the native tests
//   node scripts/clone.js --dist      dist/ alone: what npm runs before it packs the package, for somebody who installs it from git too
'use strict';
const { createHash } = require('node:crypto');
const { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const { say, step } = require('../setup/console.js');
const { must } = require('../setup/run.js');
const { setUp } = require('../setup/setup.js');

const root = join(__dirname, '..');

function stampPath(name) {
  mkdirSync(join(root, '.setup'), { recursive: true });
  return join(root, '.setup', name);
}

/** Does `work` unless it was done for the same `content`. */
async function once(name, content, isThere, work) {
  const digest = createHash('sha256').update(content).digest('hex');
  const stamp = stampPath(name);
  if (isThere() && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  await work();
  writeFileSync(stamp, digest);
}

function sourcesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
    .map((file) => `${file}\n${readFileSync(file, 'utf8')}`)
    .join('\n');
}

async function installModules() {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8') + process.version;
  await once(
    'modules',
    lock,
    () => existsSync(join(root, 'node_modules', '.package-lock.json')),
    () => step('Installing npm packages', () => must('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: root })),
  );
}

async function compileTypeScript() {
  const sources =
    sourcesOf(join(root, 'lib')) +
    ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build-dist.js', 'scripts/bundle.js']
      .map((name) => readFileSync(join(root, name)))
      .join('');
  await once(
    'dist',
    sources,
    () => existsSync(join(root, 'dist', 'cli.js')),
    () => step('Compiling TypeScript', () => must(process.execPath, [join(root, 'scripts', 'build-dist.js')], { cwd: root })),
  );
}

async function setUpClone(options) {
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node.replace('>=', '');
  const isOld = process.versions.node.localeCompare(wanted, 'en', { numeric: true }) < 0;
  if (isOld) throw new Error(`Node ${process.versions.node} is too old: ${wanted} or newer is needed`);
  if (options.includes('--dist')) {
    if (existsSync(join(root, 'node_modules', 'rolldown'))) return compileTypeScript();
    return say('cornernet: dist/ is not compiled, because the development dependencies are not installed');
  }
  await installModules();
  await compileTypeScript();
  const done = await setUp({ testing: options.includes('--testing') });
  if (done) say(done);
}

setUpClone(process.argv.slice(2)).catch((error) => {
  say(error.code === 'ERR_SETUP' || error.code === 'ERR_DOWNLOAD' ? error.message : error.stack);
  process.exitCode = 1;
});
