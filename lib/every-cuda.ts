// The device 'cuda:*' spelt out.
import { atOnceFromNative, CornerNetError } from './errors.js';
import { loadNative } from './native.js';

/** @throws {CornerNetError} `ERR_DEVICE` when there is none. */
export function everyCuda(): `cuda:${number}`[] {
  const { devices } = atOnceFromNative(() => loadNative().gpuInfo());
  const usable = devices.flatMap(({ obstacle }, index) => (obstacle === '' ? [`cuda:${index}` as const] : []));
  if (usable.length === 0) {
    const why = devices.map(({ obstacle }) => `; ${obstacle}`).join('');
    throw new CornerNetError('ERR_DEVICE', `device 'cuda:*' asks for every usable CUDA device, but there is none${why}`);
  }
  return usable;
}
