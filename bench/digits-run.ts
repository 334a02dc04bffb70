// npx tsx bench/digits-run.ts [--steps N] [--threads N] [--save FILE]: mmdetection's training on the digits, repeated, and the AP that it comes to.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { digitsPrecision, digitsRun, repeatDigitsRun } from '../test/support/digits-run.js';

const { values } = parseArgs({ options: { steps: { type: 'string' }, threads: { type: 'string' }, save: { type: 'string' } } });
const steps = Number(values.steps ?? digitsRun.iterations);
const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
const shown = 100;

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const percent = (ratio: number): string => `${(100 * ratio).toFixed(3)}%`;

async function main(): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'cornernet-digits-run-'));
  const save = values.save ?? join(scratch, 'run.pth');
  const started = performance.now();
  const minutes = (): string => `${((performance.now() - started) / 60_000).toFixed(1)} min`;
  const ours: number[] = [];
  const theirs: number[] = [];
  const failed: string[] = [];
  const verdict = (what: string, value: string, isWithin: boolean): void => {
    console.log(`${what}: ${value} ${isWithin ? 'holds' : 'FAILS'}`);
    if (!isWithin) failed.push(what);
  };
  try {
    for await (const { step, loss, wanted } of repeatDigitsRun(steps, { ...threads, save })) {
      ours.push(loss);
      theirs.push(wanted);
      if (step < 10)
        verdict(`step ${step}`, `loss ${loss.toFixed(5)}, mmdetection's ${wanted.toFixed(5)} (within 2%)`, Math.abs(loss / wanted - 1) < 0.02); // prettier-ignore
      else if ((step + 1) % shown === 0)
        console.log(
          `steps ${step + 1 - shown} to ${step}: mean loss ${mean(ours.slice(-shown)).toFixed(4)}, mmdetection's ${mean(theirs.slice(-shown)).toFixed(4)}, ${minutes()}`,
        );
    }
    if (steps > 100) {
      const ratio = mean(ours.slice(100)) / mean(theirs.slice(100)) - 1;
      verdict(`mean of steps 100 to ${steps}`, `${percent(ratio)} from mmdetection's (within 3%)`, Math.abs(ratio) < 0.03);
    }
    const AP = await digitsPrecision(save, threads.threads);
    const least = digitsRun.ap_on_val_plain - 0.01;
    if (steps === digitsRun.iterations) verdict('AP on digits/val', `${AP.toFixed(5)} (at least ${least.toFixed(5)})`, AP >= least);
    else console.log(`AP on digits/val: ${AP.toFixed(5)}`);
    console.log(minutes());
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  process.exitCode = failed.length === 0 ? 0 : 1;
}

void main();
