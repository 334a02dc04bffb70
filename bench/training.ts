// npx tsx bench/training.ts [--threads N] [--size 511] [--batch 1] [--peers a,b]: a step of HourglassNet-104's training beside mmdetection's.
import { availableParallelism } from 'node:os';

import { cpuSecondsOf } from '../lib/bench/disturbance.js';
import { insideTheClock, type TrainCase } from '../lib/bench/train.js';
import type { FixedPrecision } from '../lib/bench/schema.js';
import { memoryOf } from '../lib/proc.js';
import { Child } from './child.js';
import { install, peerPython } from './environment.js';
import { run, wholeNumber, type Against, type Candidate, type Turn } from './harness.js';

const peers = ['mmdetection', 'ours-fp32', 'ours-fp32-recompute', 'ours-bf16', 'ours-bf16-recompute'];
const against: readonly Against[] = [
  { ours: 'ours-fp32', peers: ['mmdetection'], what: 'speed', goal: 1 / 0.8 },
  { ours: 'ours-bf16', peers: ['mmdetection'], what: 'speed', goal: 1 / 0.5 },
  { ours: 'ours-fp32', peers: ['mmdetection'], what: 'memory', goal: 0.6 },
  { ours: 'ours-fp32-recompute', peers: ['mmdetection'], what: 'memory' },
  { ours: 'ours-bf16', peers: ['mmdetection'], what: 'memory' },
  { ours: 'ours-bf16-recompute', peers: ['mmdetection'], what: 'memory', goal: 0.35 },
  { ours: 'ours-fp32-recompute', peers: ['mmdetection'], what: 'speed' },
  { ours: 'ours-bf16-recompute', peers: ['mmdetection'], what: 'speed' },
];

/** Its peak memory is its process's, after two steps and more, with the interpreter and everything that was imported. */
async function start(peer: string, setting: Omit<TrainCase, 'precision' | 'recompute'>): Promise<Candidate> {
  const [name = '', precision = ''] = peer.split('-');
  let child: Child;
  if (name === 'ours') {
    child = await Child.start('train', { ...setting, precision: precision as FixedPrecision, recompute: peer.endsWith('recompute') });
  } else {
    const python = await peerPython(false);
    await install(python, name, false);
    child = await Child.start('train', { ...setting, runner: name }, python);
  }
  const close = () => child.close();
  const { version } = await child.ready().catch((error: unknown) => close().then(() => Promise.reject(error as Error)));
  const turn = async (): Promise<Turn> => {
    const before = await cpuSecondsOf(child.pid);
    const { seconds } = await child.turn();
    return { seconds, cpuSeconds: (await cpuSecondsOf(child.pid)) - before, peakBytes: memoryOf(child.pid, 'VmHWM') };
  };
  return { version, turn, close };
}

void run({
  kind: 'training',
  insideTheClock: `of ours, ${insideTheClock} Of mmdetection, its own losses, backward, clipping and Adam, from the normalised input in memory. Cpu s: processor time of all threads, which a busy machine changes less.`,
  options: { threads: String(availableParallelism()), size: '511', batch: '1', peers: peers.join(',') },
  rounds: 5,
  warmUpRounds: 0, // each has made a step when it is ready
  prepare: (values) => {
    const chosen = values.peers.split(',');
    const unknown = chosen.find((peer) => !peers.includes(peer));
    if (unknown !== undefined) throw new Error(`there is no peer '${unknown}' but ${peers.join(', ')}`);
    const [threads, size, batch] = [
      wholeNumber('threads', values.threads),
      wholeNumber('size', values.size, 32),
      wholeNumber('batch', values.batch),
    ];
    const setting = { network: 'hourglass104' as const, device: 'cpu', threads, size, batch };
    const step = () => ({
      setting: `HourglassNet-104, cpu, ${threads} threads, ${size}x${size}, batch ${batch}`,
      candidates: Object.fromEntries(chosen.map((peer) => [peer, () => start(peer, setting)])),
      against: against.filter(({ ours }) => chosen.includes(ours)),
    });
    return { cases: { step } };
  },
});
