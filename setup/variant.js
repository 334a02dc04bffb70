// Which build of LibTorch suits a machine.
'use strict';

const TORCH_VERSION = '2.13.0';
/** The builds of that version, newest CUDA first, with the compute capabilities each has code for. */
const CUDA_BUILDS = [
  { variant: 'cu130', cuda: 13.0, oldest: 7.5, newest: 12.1 },
  { variant: 'cu126', cuda: 12.6, oldest: 5.0, newest: 9.0 },
];

/**
 * @param {import('./probe.js').Probe} probe
 * @returns {{ variant: 'cpu' | 'cu126' | 'cu130', reason: string }}
 */
function chooseVariant({ gpus, cuda }) {
  if (gpus.length === 0) return { variant: 'cpu', reason: 'there is no NVIDIA driver or GPU' };
  const capabilities = gpus.map(({ computeCapability }) => computeCapability);
  const oldest = Math.min(...capabilities);
  const newest = Math.max(...capabilities);
  const range = oldest === newest ? oldest.toFixed(1) : `${oldest.toFixed(1)} to ${newest.toFixed(1)}`;
  const machine = `the GPUs' compute capability is ${range}, the driver supports CUDA ${cuda.toFixed(1)}`;
  // A driver runs every build of its own major version (CUDA's minor version compatibility) and of older ones.
  const found = CUDA_BUILDS.find((build) => Math.floor(build.cuda) <= Math.floor(cuda) && build.oldest <= oldest && newest <= build.newest);
  if (found) return { variant: found.variant, reason: machine };
  return { variant: 'cpu', reason: `no CUDA build of torch ${TORCH_VERSION} suits this machine: ${machine} (a newer driver may help)` };
}

module.exports = { chooseVariant, TORCH_VERSION };
