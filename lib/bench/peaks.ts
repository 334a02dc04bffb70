// What this machine can do at most, measured: the two lines of the roofline.
import { fromNative } from '../errors.js';
import { loadNative, type NativeBenchSetting } from '../native.js';
import { undisturbed } from './disturbance.js';
import type { FixedPrecision, Peak } from './schema.js';

/** Enough to find the best round; a hasty benchmark takes less. */
const mostSeconds = 0.5;

/** The compute peaks and copy bandwidth; a peak is a limit, so the best round counts. */
export async function measurePeak(device: string, precision: FixedPrecision, threads: number, limitSeconds: number): Promise<Peak> {
  const setting: NativeBenchSetting = { device, precision, threads, seconds: Math.min(mostSeconds, limitSeconds) };
  const native = loadNative();
  const attempt = async (kind: 'matmul' | 'conv' | 'copy'): Promise<{ best: number; size: number; reasons: readonly string[] }> => {
    const { measured, reasons } = await undisturbed(device, () => fromNative(native.benchPeak(kind, setting)));
    return { best: Math.max(...measured.rates), size: measured.size, reasons };
  };
  const [matmul, conv, copy] = [await attempt('matmul'), await attempt('conv'), await attempt('copy')];
  return {
    device,
    precision,
    threads,
    matmul: matmul.best,
    matmulSide: matmul.size,
    conv: conv.best,
    copy: copy.best,
    copyBytes: copy.size,
    disturbed: [...new Set([...matmul.reasons, ...conv.reasons, ...copy.reasons])],
  };
}

/** FLOP/s: whichever of the two computes faster. */
export function computePeak({ matmul, conv }: Pick<Peak, 'matmul' | 'conv'>): number {
  return Math.max(matmul, conv ?? 0);
}

/** FLOP/s that the roofline allows to work of this intensity. */
export function roof(peak: Pick<Peak, 'matmul' | 'conv' | 'copy'>, flops: number, bytes: number): number {
  return Math.min(computePeak(peak), (peak.copy * flops) / bytes);
}
