// What the machine has: NVIDIA GPUs and their driver, a C++ compiler and CMake, a CUDA compiler.
'use strict';
const { run } = require('./run.js');
const { openFolders } = require('./trusted.js');

/**
 * @typedef {{ name: string, computeCapability: number }} Gpu
 * @typedef {{ gpus: Gpu[], cuda: number }} Probe cuda is the newest version the driver supports (12.4), 0 without a driver
 */

/** @returns {Promise<Probe>} */
async function probeGpus() {
  const listed = await run('nvidia-smi', ['--query-gpu=name,compute_cap', '--format=csv,noheader']);
  if (listed.code !== 0) return { gpus: [], cuda: 0 };
  const gpus = listed.output
    .split('\n')
    .map((line) => /^(.+), (\d+\.\d+)\s*$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name, capability]) => ({ name, computeCapability: Number(capability) }));
  const header = await run('nvidia-smi', []);
  const version = /CUDA Version: (\d+\.\d+)/.exec(header.output);
  return { gpus, cuda: version ? Number(version[1]) : 0 };
}

async function isThere(...programs) {
  for (const program of programs) if (program && (await run(program, ['--version'])).code === 0) return true;
  return false;
}

/** What building lacks, as a sentence; undefined when all is here. */
async function missingTools() {
  const folders = openFolders();
  const elsewhere = folders.length === 0 ? '' : ` (${folders.join(' and ')}, to which everybody can write, left out)`;
  if (!(await isThere('cmake'))) return `CMake is not installed${elsewhere}`;
  if (!(await isThere('ninja', 'make'))) return `neither make nor Ninja is installed${elsewhere}`;
  return (await isThere(process.env.CXX, 'c++', 'g++', 'clang++')) ? undefined : `no C++ compiler is installed${elsewhere}`;
}

/** nvcc, also where its toolkit did not put it on the path. @returns {Promise<{ path: string, version: number } | undefined>} */
async function findNvcc() {
  const home = process.env.CUDA_HOME || process.env.CUDA_PATH || '/usr/local/cuda';
  for (const path of [process.env.CUDACXX, 'nvcc', `${home}/bin/nvcc`].filter(Boolean)) {
    const version = /release (\d+\.\d+)/.exec((await run(path, ['--version'])).output);
    if (version) return { path, version: Number(version[1]) };
  }
  return undefined;
}

module.exports = { findNvcc, missingTools, probeGpus };
