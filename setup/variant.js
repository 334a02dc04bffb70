// Which build of LibTorch suits a machine.
'use strict';

const TORCH_VERSION = '2.13.0';
/** The builds of that version, newest CUDA first, with the compute capabilities for which each and our kernels have code. */
const CUDA_BUILDS = [
  { variant: 'cu130', cuda: 13.0, oldest: 7.5, newest: 12.1 },
  { variant: 'cu126', cuda: 12.6, oldest: 7.0, newest: 9.0 },
];
/** Those that are fetched. On ARM64 there is no archive that has its CUDA libraries with it. */
const VARIANTS = process.arch === 'x64' ? ['cpu', 'cu126', 'cu130'] : ['cpu'];

/** "13.0" of "cu130"; undefined for a CPU build. */
function cudaOf(variant) {
  const digits = /^cu(\d+)(\d)$/.exec(variant);
  return digits ? Number(`${digits[1]}.${digits[2]}`) : undefined;
}

/**
 * Whether a build has code for all these GPUs and their driver runs it. A driver runs every build of its own major version (CUDA's minor version
 * compatibility) and of older ones. Of builds that aren't listed only the driver is judged, and that CUDA 13 left out what is older than 7.5.
 */
function suits(variant, { gpus, cuda }) {
  const version = cudaOf(variant);
  if (version === undefined || gpus.length === 0 || Math.floor(version) > Math.floor(cuda)) return false;
  const { oldest, newest } = CUDA_BUILDS.find((build) => build.variant === variant) ?? {
    oldest: version >= 13 ? 7.5 : 7.0,
    newest: Infinity,
  };
  return gpus.every(({ computeCapability }) => oldest <= computeCapability && computeCapability <= newest);
}

/**
 * @param {import('./machine.js').Probe} probe
 * @returns {{ variant: 'cpu' | 'cu126' | 'cu130', reason: string }}
 */
function chooseVariant(probe) {
  if (probe.gpus.length === 0) return { variant: 'cpu', reason: 'there is no NVIDIA driver or GPU' };
  if (VARIANTS.length === 1)
    return { variant: 'cpu', reason: `no CUDA build is fetched for ${process.arch}: LIBTORCH can name the folder of one` };
  const capabilities = probe.gpus.map(({ computeCapability }) => computeCapability);
  const range = [...new Set([Math.min(...capabilities), Math.max(...capabilities)])]
    .map((capability) => capability.toFixed(1))
    .join(' to ');
  const machine = `the GPUs' compute capability is ${range}, the driver supports CUDA ${probe.cuda.toFixed(1)}`;
  const found = CUDA_BUILDS.find((build) => suits(build.variant, probe));
  if (found) return { variant: found.variant, reason: machine };
  return { variant: 'cpu', reason: `no CUDA build of torch ${TORCH_VERSION} suits this machine: ${machine} (a newer driver may help)` };
}

module.exports = { chooseVariant, cudaOf, suits, TORCH_VERSION, VARIANTS };
