// npx tsx bench/load/run.ts [--rounds N] [--file FILE]: loading HourglassNet-104 against torch.load(mmap, weights_only) and load_state_dict.
import { statSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { median } from '../../lib/bench/statistics.js';
import { hourglass104, pythonWithTorch, runQuietly } from '../../test/environment.js';

interface Load {
  milliseconds: number;
  peakBytes: number;
}

const explanation = `Inside the clock: ours, Detector.load from the call to the resolved promise (mapping and reading the file, checking it, deriving the network,
folding its norms, casting); torch's, torch.load(mmap=True, weights_only=True) and load_state_dict. Outside: starting the process, loading
libraries, and making torch's model, which is 'initialised' (its memory written before) or 'fresh'. Every load is a process of its own, in turns;
the file is in the page cache. Memory: peak resident size above the process just before the load, page cache mapped in included.`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '7' }, file: { type: 'string' } } });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be a whole number of at least 1');
  const file = values.file ?? (await hourglass104());
  const python = await pythonWithTorch();
  const ours = ['--import', 'tsx', join(__dirname, 'our-load.ts'), file];
  const theirs = [join(__dirname, 'torch_load.py'), file];
  const runners: Record<string, () => Promise<string>> = {
    'ours, fp32': () => runQuietly(process.execPath, [...ours, 'fp32']),
    'ours, bf16': () => runQuietly(process.execPath, [...ours, 'bf16']),
    'torch, fresh': () => runQuietly(python, [...theirs, 'fresh']),
    'torch, initialised': () => runQuietly(python, [...theirs, 'initialised']),
  };
  const loads = new Map(Object.keys(runners).map((name) => [name, [] as Load[]]));
  for (let round = 0; round <= rounds; ++round) {
    for (const [name, run] of Object.entries(runners)) {
      const load = JSON.parse(await run()) as Load;
      if (round > 0) loads.get(name)?.push(load); // the first round fills the page cache
    }
  }

  const bytes = statSync(file).size;
  const time = (name: string) => median((loads.get(name) ?? []).map((load) => load.milliseconds));
  console.log(`${explanation}\n`);
  console.log(`${(bytes / 1e6).toFixed(0)} MB, ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}, medians of ${rounds} rounds`);
  for (const [name, list] of loads) {
    const against = ['torch, fresh', 'torch, initialised'].map((other) => `${(time(name) / time(other)).toFixed(2)}x ${other}`).join(', ');
    const peak = median(list.map((load) => load.peakBytes));
    console.log(`${name.padEnd(20)} ${time(name).toFixed(0).padStart(6)} ms (${against}), peak ${(peak / bytes).toFixed(2)}x the file`);
  }
}

void main();
