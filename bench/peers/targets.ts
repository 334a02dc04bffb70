// The ratios this package sets itself against its peers, and how a run compares.
import { median } from '../../lib/bench/statistics.js';
import type { CaseResult, PeerResult } from './report.js';

interface Target {
  readonly ours: string;
  readonly peer: string;
  readonly what: 'speed' | 'memory';
  readonly goal: number;
}

const cpuTargets: Target[] = [
  { ours: 'ours-bf16', peer: 'mmdetection', what: 'speed', goal: 3 },
  { ours: 'ours-bf16', peer: 'openvino-bf16', what: 'speed', goal: 1 },
  { ours: 'ours-fp32', peer: 'onnxruntime-fp32', what: 'speed', goal: 1 },
  { ours: 'ours-fp32', peer: 'openvino-fp32', what: 'speed', goal: 1 },
  { ours: 'ours-bf16', peer: 'mmdetection', what: 'memory', goal: 0.5 },
];

const cudaTargets: Target[] = [
  { ours: 'ours-fp16', peer: 'mmdetection', what: 'speed', goal: 12 },
  { ours: 'ours-fp16', peer: 'mmdetection-tf32', what: 'speed', goal: 4 },
  { ours: 'ours-fp16', peer: 'amp', what: 'speed', goal: 1.5 },
  { ours: 'ours-fp16', peer: 'compile', what: 'speed', goal: 1 },
];

/** The same network in plain PyTorch, where mmdetection was not measured. */
const standIns: Readonly<Record<string, string>> = { mmdetection: 'eager-both-heads', 'mmdetection-tf32': 'eager-both-heads-tf32' };

/** Every target of the device beside what was measured. */
export function ratios(measured: ReadonlyMap<string, Pick<PeerResult, 'rounds' | 'peakBytes'>>, cuda: boolean): CaseResult['ratios'] {
  return (cuda ? cudaTargets : cpuTargets).map((wanted) => {
    const standIn = standIns[wanted.peer];
    const target = !measured.has(wanted.peer) && standIn !== undefined && measured.has(standIn) ? { ...wanted, peer: standIn } : wanted;
    const ours = measured.get(target.ours);
    const peer = measured.get(target.peer);
    if (!ours || !peer) return { ...target, ratio: null, met: null };
    // Round by round: what disturbs the machine then disturbs both.
    const speed = median(peer.rounds.map((seconds, i) => seconds / (ours.rounds[i] ?? NaN)));
    const ratio = target.what === 'speed' ? speed : ours.peakBytes / peer.peakBytes;
    return { ...target, ratio, met: target.what === 'speed' ? ratio >= target.goal : ratio <= target.goal };
  });
}
