// The ratios this package sets itself against its peers, and how a run compares.
export interface Measured {
  /** Median seconds. */
  readonly seconds: number;
  readonly peakBytes: number;
}

interface Target {
  readonly ours: string;
  readonly peer: string;
  readonly what: 'speed' | 'memory';
  readonly goal: number;
}

export interface Ratio extends Target {
  /** How many times as fast as the peer, or how many times its memory; null where the peer was not measured. */
  readonly ratio: number | null;
  readonly met: boolean | null;
}

const cpuTargets: Target[] = [
  { ours: 'ours-bf16', peer: 'eager-both-heads', what: 'speed', goal: 3 },
  { ours: 'ours-bf16', peer: 'openvino-bf16', what: 'speed', goal: 1 },
  { ours: 'ours-fp32', peer: 'onnxruntime-fp32', what: 'speed', goal: 1 },
  { ours: 'ours-fp32', peer: 'openvino-fp32', what: 'speed', goal: 1 },
  { ours: 'ours-bf16', peer: 'eager-both-heads', what: 'memory', goal: 0.5 },
];

const cudaTargets: Target[] = [
  { ours: 'ours-fp16', peer: 'eager-both-heads', what: 'speed', goal: 12 },
  { ours: 'ours-fp16', peer: 'eager-both-heads-tf32', what: 'speed', goal: 4 },
  { ours: 'ours-fp16', peer: 'amp', what: 'speed', goal: 1.5 },
  { ours: 'ours-fp16', peer: 'compile', what: 'speed', goal: 1 },
];

/** Every target of the device beside what was measured. */
export function ratios(measured: ReadonlyMap<string, Measured>, cuda: boolean): Ratio[] {
  return (cuda ? cudaTargets : cpuTargets).map((target) => {
    const ours = measured.get(target.ours);
    const peer = measured.get(target.peer);
    if (!ours || !peer) return { ...target, ratio: null, met: null };
    const ratio = target.what === 'speed' ? peer.seconds / ours.seconds : ours.peakBytes / peer.peakBytes;
    return { ...target, ratio, met: target.what === 'speed' ? ratio >= target.goal : ratio <= target.goal };
  });
}
