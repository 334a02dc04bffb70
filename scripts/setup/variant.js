// Which build of LibTorch suits a machine.
'use strict';

const TORCH_VERSION = '2.13.0';
/** The builds of that version, newest CUDA first, with the oldest compute capability each has code for. */
const CUDA_BUILDS = [
  { variant: 'cu130', cuda: 13.0, oldest: 7.5 },
  { variant: 'cu126', cuda: 12.6, oldest: 5.0 },
];

/**
 * @param {import('./probe.js').Probe} probe
 * @returns {{ variant: 'cpu' | 'cu126' | 'cu130', reason: string }}
 */
function chooseVariant({ gpus, cuda }) {
  if (gpus.length === 0) return { variant: 'cpu', reason: 'there is no NVIDIA driver or GPU' };
  const oldest = Math.min(...gpus.map(({ computeCapability }) => computeCapability));
  // A driver runs every build of its own major version (CUDA's minor version compatibility) and of older ones.
  const runs = CUDA_BUILDS.filter((build) => Math.floor(build.cuda) <= Math.floor(cuda));
  const found = runs.find((build) => build.oldest <= oldest);
  if (found)
    return {
      variant: found.variant,
      reason: `the oldest GPU has compute capability ${oldest.toFixed(1)}, the driver supports CUDA ${cuda.toFixed(1)}`,
    };
  return {
    variant: 'cpu',
    reason: `no build of torch ${TORCH_VERSION} suits a driver for CUDA ${cuda.toFixed(1)} with a GPU of compute capability ${oldest.toFixed(1)}: update the driver to CUDA 12.6 or newer`,
  };
}

module.exports = { chooseVariant, TORCH_VERSION };
