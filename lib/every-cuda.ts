// The device 'cuda:*' spelt out.
import { CornerNetError } from './errors.js';
import { loadNative } from './native.js';

/** @throws {CornerNetError} `ERR_DEVICE` when there is none. */
export function everyCuda(): `cuda:${number}`[] {
  const usable = loadNative()
    .gpuInfo()
    .devices.flatMap(({ hasCode }, index) => (hasCode ? [`cuda:${index}` as const] : []));
  if (usable.length === 0) throw new CornerNetError('ERR_DEVICE', "device 'cuda:*' asks for every usable CUDA device, but there is none");
  return usable;
}
