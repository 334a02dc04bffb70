// Which NVIDIA GPUs the machine has and which CUDA version its driver supports.
'use strict';
const { run } = require('./run.js');

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

module.exports = { probeGpus };
