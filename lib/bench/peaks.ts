// What this machine can do at most, measured: the two lines of the roofline.
import { fromNative } from '../errors.js';
import { loadNative, type NativeBenchSetting } from '../native.js';
import type { FixedPrecision, Peak } from './schema.js';

const seconds = 1;

/** The compute peaks and copy bandwidth; a peak is a limit, so the best round counts. */
export async function measurePeak(device: string, precision: FixedPrecision, threads: number): Promise<Peak> {
  const setting: NativeBenchSetting = { device, precision, threads, seconds };
  const native = loadNative();
  const matmul = await fromNative(native.benchPeak('matmul', setting));
  const conv = await fromNative(native.benchPeak('conv', setting));
  const copy = await fromNative(native.benchPeak('copy', setting));
  return {
    device,
    precision,
    threads,
    matmul: Math.max(...matmul.rates),
    matmulSide: matmul.size,
    conv: Math.max(...conv.rates),
    copy: Math.max(...copy.rates),
    copyBytes: copy.size,
  };
}

/** FLOP/s: whichever of the two computes faster. */
export function computePeak({ matmul, conv }: Pick<Peak, 'matmul' | 'conv'>): number {
  return Math.max(matmul, conv);
}

/** FLOP/s that the roofline allows to work of this intensity. */
export function roof(peak: Pick<Peak, 'matmul' | 'conv' | 'copy'>, flops: number, bytes: number): number {
  return Math.min(computePeak(peak), (peak.copy * flops) / bytes);
}
