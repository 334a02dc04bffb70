// npx tsx bench/load.ts [--file FILE]: loading HourglassNet-104 beside torch.load(mmap, weights_only) and load_state_dict.
import { statSync } from 'node:fs';

import { hourglass104, pythonWithTorch } from '../test/environment.js';
import { newEachTurn } from './child.js';
import { run } from './harness.js';

const ours = ['ours, fp32', 'ours, bf16'];
const torch = ['torch, fresh', 'torch, initialised'];

void run({
  kind: 'load',
  insideTheClock:
    'of ours, Detector.load from the call to the resolved promise (mapping and reading the file, checking it, deriving the network, folding its ' +
    'norms, casting); of torch’s, torch.load(mmap=True, weights_only=True) and load_state_dict. Outside: starting the process, loading libraries, and ' +
    'making torch’s model, which is initialised (its memory written before) or fresh. Every load is a process of its own; the file is in the page cache. ' +
    'Peak memory: above what the process has just before the load, page cache mapped in included.',
  options: { file: '' },
  rounds: 7,
  warmUpRounds: 1, // fills the page cache
  prepare: async (values) => {
    const file = values.file || (await hourglass104());
    const python = await pythonWithTorch();
    return {
      cases: {
        load: () => ({
          setting: `${(statSync(file).size / 1e6).toFixed(0)} MB`,
          candidates: {
            'ours, fp32': () => newEachTurn('load', { file, precision: 'fp32' }),
            'ours, bf16': () => newEachTurn('load', { file, precision: 'bf16' }),
            'torch, fresh': () => newEachTurn('load', { file, initialised: false }, python),
            'torch, initialised': () => newEachTurn('load', { file, initialised: true }, python),
          },
          against: (['speed', 'memory'] as const).flatMap((what) =>
            ours.flatMap((one) => torch.map((peer) => ({ what, ours: one, peers: [peer] }))),
          ),
        }),
      },
    };
  },
});
