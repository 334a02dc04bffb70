// Finding the LibTorchs that are here, and proving that one works.
'use strict';
const { existsSync, mkdtempSync, readFileSync, readdirSync, symlinkSync } = require('node:fs');
const { basename, dirname, isAbsolute, join, resolve } = require('node:path');

const { cacheFolder } = require('./paths.js');
const { run, SetupError } = require('./run.js');
const { openToAll, privateFolder } = require('./trusted.js');
const { VARIANTS } = require('./variant.js');

const OLDEST = [2, 11];
const NEWEST = [2, 14];
const SUPPORTED = '2.11 to 2.14';

/** @typedef {{ folder: string, version: string, variant: string, source: 'LIBTORCH' | 'Python' | 'cache' }} Libtorch variant is cpu, cu126, ... */

/** "2.13.0" of a LibTorch folder's headers; undefined when they aren't there. */
function versionOf(folder) {
  const headers = ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h'];
  for (const header of headers.map((name) => join(folder, name)).filter((path) => existsSync(path))) {
    const part = (name) => new RegExp(`define TORCH_VERSION_${name} (\\d+)`).exec(readFileSync(header, 'utf8'))?.[1];
    if (part('MAJOR') !== undefined) return `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`;
  }
  return undefined;
}

/** "cpu", or "cu130" by what a wheel or an archive says of itself; "cuda" where neither says which. */
function variantOf(folder) {
  if (!existsSync(join(folder, 'lib', 'libtorch_cuda.so'))) return 'cpu';
  const said = ['version.py', 'build-version'].map((name) => join(folder, name)).filter((path) => existsSync(path));
  const texts = [...said.map((path) => readFileSync(path, 'utf8')), basename(dirname(folder))];
  return texts.map((text) => /\+(cu\d+)/.exec(text)?.[1]).find(Boolean) ?? 'cuda';
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
  const names = ['libc10.so', 'libtorch_cpu.so', 'libtorch.so'];
  const missing = names.find((name) => !existsSync(join(folder, 'lib', name)));
  if (missing) return `${join(folder, 'lib', missing)} is missing`;
  if (existsSync(join(folder, 'lib', 'libtorch_cuda.so'))) names.push('libtorch_cuda.so');
  const open = [folder, ...[...names, ''].map((name) => join(folder, 'lib', name))].map(openToAll).find(Boolean);
  if (open) return `everybody can write to ${open} (chmod o-w)`;
  // Through a link, because what is preloaded is listed between spaces and colons, and the folder's own path may have some.
  const link = join(mkdtempSync(join(privateFolder(), 'libtorch-')), 'torch');
  symlinkSync(folder, link);
  // A CUDA torch installed by pip finds its nvidia libraries only once somebody has preloaded them: the build's run path does that for the addon.
  const nvidia = nvidiaParts(folder).map((part) => `${link}/../nvidia/${part}/lib`);
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    LD_PRELOAD: names.map((name) => `${link}/lib/${name}`).join(':'),
    LD_BIND_NOW: '1',
    LD_LIBRARY_PATH: [...nvidia, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
  };
  const { code, output } = await run(process.execPath, ['-e', '0'], { env });
  const complaint = output.split('\n').find((line) => /cannot be preloaded|error while loading|undefined symbol|\.so/.test(line));
  if (complaint) return complaint.trim().replaceAll(link, folder);
  return code === 0 ? undefined : `loading its libraries (libtorch_cpu.so and its like) ended with exit code ${code}`;
}

/** The parts of site-packages/nvidia/<part>/lib beside a torch that pip installed. */
function nvidiaParts(folder) {
  const nvidia = join(folder, '..', 'nvidia');
  if (!existsSync(nvidia)) return [];
  return readdirSync(nvidia).filter((part) => existsSync(join(nvidia, part, 'lib')));
}

/** Looks for a torch without importing it; in isolated mode, which leaves out the user's own packages too: those are looked in after the others. */
const FIND_TORCH = `
import importlib.util, os, site, sys
if sys.prefix == sys.base_prefix: sys.path.append(site.getusersitepackages())
spec = importlib.util.find_spec("torch")
print(os.path.dirname(spec.origin) if spec and spec.origin else "")`;

async function pythonTorch() {
  const { code, output } = await run('python3', ['-I', '-c', FIND_TORCH]);
  const folder = output.trim().split('\n').pop();
  return code === 0 && folder ? folder : undefined;
}

/** LibTorch folders in the cache, the newest first. */
function cachedTorches() {
  const folder = join(cacheFolder(), 'libtorch');
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return names
    .sort()
    .reverse()
    .map((name) => join(folder, name, 'torch'))
    .filter((path) => existsSync(path));
}

function describe(source, folder) {
  return { source, folder, version: versionOf(folder), variant: variantOf(folder) };
}

/** Everything here that could be a LibTorch, in the order of preference; whether it works is another question. */
async function candidates() {
  const python = await pythonTorch();
  return [...(python ? [describe('Python', python)] : []), ...cachedTorches().map((folder) => describe('cache', folder))];
}

/** @returns {Promise<string | undefined>} why a candidate can't be used */
async function flawOf({ folder, version }) {
  if (version === undefined) return 'it has no LibTorch headers';
  if (!isSupported(version)) return `it is version ${version}; ${SUPPORTED} are supported`;
  return obstacleTo(folder);
}

/**
 * The folder that somebody named. Who names one wants that one: nothing else is taken silently.
 * @param {string} name
 * @param {boolean} anywhere whether it may be relative, which in an environment is another folder wherever one is
 * @returns {Promise<Libtorch>}
 */
async function namedLibtorch(name, anywhere) {
  if (!isAbsolute(name) && !(anywhere && /^\.\.?(\/|$)/.test(name))) {
    const path = anywhere ? 'a path that begins with / or ./' : 'an absolute path';
    throw new SetupError(`LIBTORCH names ${name}, which is neither a build (${VARIANTS.join(', ')}) nor ${path}`);
  }
  const libtorch = describe('LIBTORCH', resolve(name));
  const flaw = existsSync(libtorch.folder) ? await flawOf(libtorch) : `there is no such folder, and no such build (${VARIANTS.join(', ')})`;
  if (flaw) throw new SetupError(`LIBTORCH names ${libtorch.folder}, which can't be used: ${flaw}`);
  return libtorch;
}

module.exports = { candidates, flawOf, isSupported, namedLibtorch, obstacleTo, variantOf };
