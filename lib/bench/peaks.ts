// What this machine can do at most, measured: the two lines of the roofline.
import { fromNative } from '../errors.js';
import { loadNative, type NativeBenchSetting } from '../native.js';
import type { FixedPrecision, Peak } from './schema.js';

const seconds = 1;

/** The matmul peak and copy bandwidth; a peak is a limit, so the best round counts. */
export async function measurePeak(device: string, precision: FixedPrecision, threads: number): Promise<Peak> {
  const setting: NativeBenchSetting = { device, precision, threads, seconds };
  const native = loadNative();
  const matmul = await fromNative(native.benchPeak('matmul', setting));
  const copy = await fromNative(native.benchPeak('copy', setting));
  return {
    device,
    precision,
    threads,
    matmul: Math.max(...matmul.rates),
    matmulSide: matmul.size,
    copy: Math.max(...copy.rates),
    copyBytes: copy.size,
  };
}

/** FLOP/s that the roofline allows to work of this intensity. */
export function roof({ matmul, copy }: Pick<Peak, 'matmul' | 'copy'>, flops: number, bytes: number): number {
  return Math.min(matmul, (copy * flops) / bytes);
}
