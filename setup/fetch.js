// Fetching a build of LibTorch into the cache: pip's CPU wheel, else the official archive.
'use strict';
const { existsSync, readFileSync, readdirSync, writeFileSync } = require('node:fs');
const { chmod, mkdir, mkdtemp, rename, rm, rmdir } = require('node:fs/promises');
const { basename, join } = require('node:path');

const { say, step } = require('./console.js');
const { download, sha256Of } = require('./download.js');
const { obstacleTo } = require('./libtorch.js');
const { cacheFolder, root } = require('./paths.js');
const { holdPin, pinChange, pinnedDigest } = require('./pin.js');
const { run, SetupError } = require('./run.js');
const { openToAll, privateFolder } = require('./trusted.js');
const { TORCH_VERSION } = require('./variant.js');

/** What is needed of a wheel or an archive: two thirds of it. */
const NEEDED = /^(torch\.libs\/|(torch|libtorch)\/(lib\/|include\/|version\.py$|build-version$))/;

const PIP = ['-I', '-m', 'pip', '--disable-pip-version-check'];
const WHEEL = ['--no-deps', '--only-binary=:all:'];

/** What pip would take, by its own report, which has the sha256 that the index states. @returns {Promise<string | undefined>} */
async function digestOf(requirement, index) {
  const report = join(privateFolder(), 'report.json');
  // The target only says that nothing is to be installed into Python's own folders.
  const target = ['--dry-run', '--ignore-installed', '--target', join(privateFolder(), 'nowhere'), '--report', report];
  const { code } = await run('python3', [...PIP, 'install', ...target, ...WHEEL, ...index, requirement]);
  if (code !== 0) return undefined;
  return JSON.parse(readFileSync(report, 'utf8')).install?.[0]?.download_info?.archive_info?.hashes?.sha256;
}

/** Pip's wheel, by its whole sha256 as far as pip tells one. @returns {Promise<string | undefined>} its name in the folder */
async function pipDownload(variant, folder, note) {
  const requirement = `torch==${TORCH_VERSION}+${variant}`;
  const failures = [];
  for (const index of [[], ['--index-url', `https://download.pytorch.org/whl/${variant}`]]) {
    const digest = await digestOf(requirement, index);
    const list = join(privateFolder(), 'requirements.txt');
    writeFileSync(list, `${requirement}${digest === undefined ? '' : ` --hash=sha256:${digest}`}\n`);
    const strict = digest === undefined ? [] : ['--require-hashes'];
    const args = [...PIP, 'download', ...WHEEL, '--progress-bar=off', '-d', folder, ...strict, ...index, '-r', list];
    const { code, output } = await run('python3', args, { onLine: (line) => note(line.slice(0, 60)) });
    if (code === 0) {
      if (digest === undefined) say('pip does not tell the sha256 of its wheel beforehand (22.2 and newer do): it was taken as it came');
      return readdirSync(folder).find((name) => name.endsWith('.whl'));
    }
    if (code === 127) return undefined; // no Python
    failures.push(output.trim().split('\n').pop());
  }
  say(`pip has no ${requirement}: ${failures[0]}`);
  return undefined;
}

/** Where LibTorch is to be had without pip: for ARM64, which has no archive, a wheel, as pip would take it. */
function officialUrl(variant) {
  const build = `${TORCH_VERSION}%2B${variant}`;
  if (process.arch === 'arm64') return `https://download.pytorch.org/whl/${variant}/torch-${build}-cp312-cp312-manylinux_2_28_aarch64.whl`;
  return `https://download.pytorch.org/libtorch/${variant}/libtorch-shared-with-deps-${build}.zip`;
}

/** The official archive. Its sha256 can be given in CORNERNET_LIBTORCH_SHA256, its place in CORNERNET_LIBTORCH_URL. */
async function archiveDownload(variant, folder, note) {
  const official = officialUrl(variant);
  const archive = decodeURIComponent(basename(official));
  const held = pinnedDigest(pinOf(archive));
  if (held === '') throw new SetupError(pinChange(pinOf(archive), ''));
  try {
    await download({
      url: process.env.CORNERNET_LIBTORCH_URL ?? official,
      file: join(folder, archive),
      sha256: process.env.CORNERNET_LIBTORCH_SHA256 ?? held,
      onProgress: ({ received, total }) => note(`${Math.round(received / 1e6)} of ${total ? Math.round(total / 1e6) : '?'} MB`),
    });
  } catch (error) {
    const accept = held === undefined ? '' : `to accept a change, remove ${pinOf(archive)}.sha256; `;
    const others = `${accept}CORNERNET_LIBTORCH_URL names another place, LIBTORCH a folder, and a torch that pip installed serves as well`;
    throw new SetupError(`${error.message} (${others}${variant === 'cpu' ? '' : '; `--libtorch cpu` takes the CPU build'})`, {
      cause: error,
    });
  }
  return archive;
}

/** Beside what in the cache the sha256 of a wheel or an archive is held. */
function pinOf(archive) {
  return join(cacheFolder(), 'libtorch', archive);
}

async function unpack(archive, folder) {
  // Compiled, because a library is bundled with it; what runs before that fetches nothing.
  const { unzip } = require(join(root, 'dist', 'unzip.js'));
  try {
    await unzip(archive, folder, (name) => NEEDED.test(name));
  } catch (error) {
    throw new SetupError(`${archive} can't be unpacked: ${error.message}`, { cause: error });
  }
}

/** Fetches into a folder aside, proves it, renames it into the cache. @returns {Promise<import('./libtorch.js').Libtorch>} */
async function fetchLibtorch(variant) {
  const home = join(cacheFolder(), 'libtorch');
  const target = join(home, `${TORCH_VERSION}+${variant}`);
  await mkdir(home, { recursive: true, mode: 0o755 });
  const open = openToAll(home);
  if (open)
    throw new SetupError(`nothing is fetched into ${home}, because everybody can write to ${open}: chmod o-w, or another CORNERNET_CACHE`);
  // A cut download of the archive goes on the next time, or another set-up's goes on beside; all else is in a folder of its own.
  const downloads = join(cacheFolder(), 'partial', `${TORCH_VERSION}+${variant}`);
  await mkdir(downloads, { recursive: true, mode: 0o755 });
  const aside = await mkdtemp(join(home, '.unpacking-'));
  try {
    await step(`Fetching LibTorch ${TORCH_VERSION}+${variant}`, async (note) => {
      // A CUDA wheel leaves its nvidia libraries to other wheels; the official archive has them with it.
      const { CORNERNET_LIBTORCH_URL, CORNERNET_LIBTORCH_SHA256 } = process.env; // whoever states them means the archive
      const isNamed = (CORNERNET_LIBTORCH_URL ?? CORNERNET_LIBTORCH_SHA256) !== undefined;
      const wheel = variant === 'cpu' && !isNamed ? await pipDownload(variant, aside, note) : undefined;
      const archive = wheel ?? (await archiveDownload(variant, downloads, note));
      if (!wheel) await rename(join(downloads, archive), join(aside, archive));
      // Nobody states the archives' sha256, and a wheel's index may change: what was proven once is held.
      const pin = pinOf(archive);
      const digest = await sha256Of(join(aside, archive));
      const change = pinChange(pin, digest);
      if (change !== undefined) throw new SetupError(`${archive}: ${change}`);
      note('unpacking');
      await unpack(join(aside, archive), aside);
      await rm(join(aside, archive));
      if (existsSync(join(aside, 'libtorch'))) await rename(join(aside, 'libtorch'), join(aside, 'torch'));
      note('loading it');
      const obstacle = await obstacleTo(join(aside, 'torch'));
      if (obstacle) throw new SetupError(`the LibTorch that was fetched can't be loaded: ${obstacle}`);
      if (pinnedDigest(pin) === undefined) say(`${archive} has the sha256 ${digest}, which is held from now on (${pin}.sha256)`);
      holdPin(pin, digest);
    });
    // One that does not load makes room; another set-up may have been quicker, and its result is as good.
    if (existsSync(target) && (await obstacleTo(join(target, 'torch')))) await rm(target, { recursive: true });
    await chmod(aside, 0o755); // who runs the package need not be who set it up
    await rename(aside, target).catch((error) => {
      if (!existsSync(join(target, 'torch'))) throw error;
    });
    await rmdir(downloads).catch(() => undefined); // another set-up's part is in there
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { folder: join(target, 'torch'), version: TORCH_VERSION, variant, source: 'cache' };
}

module.exports = { fetchLibtorch };
