// Finding a LibTorch that works, or fetching one.
'use strict';
const { existsSync, readFileSync, readdirSync } = require('node:fs');
const { mkdir, mkdtemp, readdir, rename, rm } = require('node:fs/promises');
const { join, resolve } = require('node:path');

const { cacheFolder } = require('./cache.js');
const { say, step } = require('./console.js');
const { download } = require('./download.js');
const { probeGpus } = require('./probe.js');
const { run, SetupError } = require('./run.js');
const { chooseVariant, TORCH_VERSION } = require('./variant.js');

const OLDEST = [2, 11];
const NEWEST = [2, 13];
const SUPPORTED = '2.11 to 2.13';

/** "2.13.0" of a LibTorch folder's headers; undefined when they aren't there. */
function versionOf(folder) {
  const headers = ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h'];
  for (const header of headers.map((name) => join(folder, name)).filter((path) => existsSync(path))) {
    const part = (name) => new RegExp(`define TORCH_VERSION_${name} (\\d+)`).exec(readFileSync(header, 'utf8'))?.[1];
    if (part('MAJOR') !== undefined) return `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`;
  }
  return undefined;
}

function isSupported(version) {
  const [major, minor] = version.split('.').map(Number);
  return major === OLDEST[0] && minor >= OLDEST[1] && minor <= NEWEST[1];
}

/**
 * Loads its libraries in a process of their own. The dynamic loader itself, asked to bind every symbol, is the one judge
 * that needs neither a compiler nor Python and finds a missing nvidia library too.
 * @returns {Promise<string | undefined>} why it can't be loaded
 */
async function obstacleTo(folder) {
  const libraries = ['libc10.so', 'libtorch_cpu.so', 'libtorch.so'].map((name) => join(folder, 'lib', name));
  const missing = libraries.find((path) => !existsSync(path));
  if (missing) return `${missing} is missing`;
  if (existsSync(join(folder, 'lib', 'libtorch_cuda.so'))) libraries.push(join(folder, 'lib', 'libtorch_cuda.so'));
  // A CUDA torch installed by pip finds its nvidia libraries only once somebody has preloaded them: the build's run path does that for the addon.
  const paths = nvidiaLibraryFolders(folder).join(':');
  const env = {
    ...process.env,
    LD_PRELOAD: libraries.join(':'),
    LD_BIND_NOW: '1',
    LD_LIBRARY_PATH: [paths, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
  };
  const { code, output } = await run(process.execPath, ['-e', '0'], { env });
  const complaint = output.split('\n').find((line) => /cannot be preloaded|error while loading|undefined symbol|\.so/.test(line));
  if (complaint) return complaint.trim();
  return code === 0 ? undefined : `loading its libraries (libtorch_cpu.so and its like) ended with exit code ${code}`;
}

/** site-packages/nvidia/<part>/lib beside a torch that pip installed. */
function nvidiaLibraryFolders(folder) {
  const nvidia = join(folder, '..', 'nvidia');
  if (!existsSync(nvidia)) return [];
  return readdirSync(nvidia)
    .map((part) => join(nvidia, part, 'lib'))
    .filter((path) => existsSync(path));
}

async function pythonTorch() {
  const find = 'import importlib.util as u, os; s = u.find_spec("torch"); print(os.path.dirname(s.origin) if s and s.origin else "")';
  const { code, output } = await run('python3', ['-c', find]);
  const folder = output.trim().split('\n').pop();
  return code === 0 && folder ? folder : undefined;
}

/** LibTorch folders in the cache, the newest first. */
async function cachedTorches() {
  const folder = join(cacheFolder(), 'libtorch');
  const names = await readdir(folder).catch(() => []);
  return names
    .sort()
    .reverse()
    .map((name) => join(folder, name, 'torch'))
    .filter((path) => existsSync(path));
}

/** Everything that could be a LibTorch here, in the order of preference. */
async function candidates() {
  const list = [];
  if (process.env.LIBTORCH) list.push({ source: 'LIBTORCH', folder: resolve(process.env.LIBTORCH), chosen: true });
  const python = await pythonTorch();
  if (python) list.push({ source: 'Python', folder: python });
  for (const folder of await cachedTorches()) list.push({ source: 'cache', folder });
  return list;
}

/**
 * @param {(text: string) => void} [tell] hears why a candidate is passed over
 * @returns {Promise<{ folder: string, version: string, source: string, cuda: boolean } | undefined>}
 */
async function findLibtorch(tell = () => undefined) {
  for (const { source, folder, chosen } of await candidates()) {
    const version = versionOf(folder);
    let obstacle = version === undefined ? 'it has no LibTorch headers' : undefined;
    if (version !== undefined && !isSupported(version)) obstacle = `it is version ${version}; ${SUPPORTED} are supported`;
    obstacle ??= await obstacleTo(folder);
    if (obstacle === undefined) return { folder, version, source, cuda: existsSync(join(folder, 'lib', 'libtorch_cuda.so')) };
    // Who names a folder wants that one: nothing else is taken silently.
    if (chosen) throw new SetupError(`LIBTORCH names ${folder}, which can't be used: ${obstacle}`);
    tell(`passing over the LibTorch at ${folder} (${source}): ${obstacle}`);
  }
  return undefined;
}

async function pipDownload(variant, folder, note) {
  const requirement = `torch==${TORCH_VERSION}+${variant}`;
  const base = [
    '-m',
    'pip',
    'download',
    '--disable-pip-version-check',
    '--no-deps',
    '--only-binary=:all:',
    '--progress-bar=off',
    '-d',
    folder,
  ];
  const index = `https://download.pytorch.org/whl/${variant}`;
  const failures = [];
  for (const extra of [[], ['--index-url', index]]) {
    const { code, output } = await run('python3', [...base, ...extra, requirement], { onLine: (line) => note(line.slice(0, 60)) });
    if (code === 0) return readdirSync(folder).find((name) => name.endsWith('.whl'));
    failures.push(output.trim().split('\n').pop());
  }
  say(`pip has no ${requirement}: ${failures[0]}`);
  return undefined;
}

/** The official archive. Its sha256 can be given in CORNERNET_LIBTORCH_SHA256, its place in CORNERNET_LIBTORCH_URL. */
async function zipDownload(variant, folder, note) {
  const name = `libtorch-shared-with-deps-${TORCH_VERSION}%2B${variant}.zip`;
  const url = process.env.CORNERNET_LIBTORCH_URL ?? `https://download.pytorch.org/libtorch/${variant}/${name}`;
  await download({
    url,
    file: join(folder, 'libtorch.zip'),
    sha256: process.env.CORNERNET_LIBTORCH_SHA256,
    onProgress: ({ received, total }) => note(`${Math.round(received / 1e6)} of ${total ? Math.round(total / 1e6) : '?'} MB`),
  });
  return 'libtorch.zip';
}

async function unzip(archive, folder) {
  // CMake is needed anyway, and checks every member's CRC.
  const { code, output } = await run('cmake', ['-E', 'tar', 'xf', archive], { cwd: folder });
  if (code !== 0) throw new SetupError(`${archive} can't be unpacked: ${output.trim().split('\n').pop()}`);
}

/** Fetches into a folder aside, proves it, renames it into the cache. */
async function fetchLibtorch(variant) {
  const home = join(cacheFolder(), 'libtorch');
  const target = join(home, `${TORCH_VERSION}+${variant}`);
  await mkdir(home, { recursive: true });
  // The archive's own folder stays after a failure, so that a cut download goes on; what is unpacked is always new.
  const downloads = join(cacheFolder(), 'partial', `${TORCH_VERSION}+${variant}`);
  await mkdir(downloads, { recursive: true });
  const aside = await mkdtemp(join(home, '.unpacking-'));
  try {
    await step(`Fetching LibTorch ${TORCH_VERSION}+${variant}`, async (note) => {
      // A CUDA wheel leaves its nvidia libraries to other wheels; the official archive has them with it.
      const wheel = variant === 'cpu' ? await pipDownload(variant, downloads, note) : undefined;
      const archive = wheel ?? (await zipDownload(variant, downloads, note));
      note('unpacking');
      await unzip(join(downloads, archive), aside);
      if (existsSync(join(aside, 'libtorch'))) await rename(join(aside, 'libtorch'), join(aside, 'torch'));
      note('loading it');
      const obstacle = await obstacleTo(join(aside, 'torch'));
      if (obstacle) throw new SetupError(`the LibTorch that was fetched can't be loaded: ${obstacle}`);
    });
    // Another set-up may have been quicker: its result is as good.
    await rename(aside, target).catch((error) => {
      if (!existsSync(join(target, 'torch'))) throw error;
    });
    await rm(downloads, { recursive: true, force: true });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return join(target, 'torch');
}

/** Finds a LibTorch, or fetches the one that suits this machine. */
async function ensureLibtorch() {
  const found = await findLibtorch(say);
  if (found) return found;
  const { variant, reason } = chooseVariant(await probeGpus());
  say(`LibTorch: taking the ${variant} build: ${reason}`);
  const folder = await fetchLibtorch(variant);
  return { folder, version: TORCH_VERSION, source: 'cache', cuda: variant !== 'cpu' };
}

module.exports = { ensureLibtorch, findLibtorch, nvidiaLibraryFolders, versionOf, isSupported, SUPPORTED };
