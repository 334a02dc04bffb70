// Gradients of processes that train together, over gloo on the loopback, against one process's.
import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deserialize } from 'node:v8';

import { fixtures, root } from '../environment.js';
import { runNode } from '../support/child.js';
import { freePort } from '../../lib/free-port.js';
import { trainAs, type TrainedAs, type TrainPictures, type TrainSetting } from '../support/train-as.js';

type Trained = Pick<TrainedAs, 'steps' | 'gradients' | 'tensors'>;

const folder = join(fixtures, 'training');
const reference = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')) as TrainPictures;
const learningRate = 1e-4;
// fp64: what remains of rounding is far below any mistake.
const allowed = 1e-9;

const norm = (values: Float64Array): number => Math.hypot(...values);

function near(got: Float64Array | undefined, wanted: Float64Array, scale: number, what: string): void {
  assert.ok(got && got.length === wanted.length, what);
  const difference = norm(wanted.map((value, i) => value - (got[i] ?? NaN)));
  assert.ok(difference <= allowed * scale, `${what} differs by ${difference}, of ${scale}`);
}

/** Gradients of the first step, each against the whole gradient's norm. */
function nearGradients(got: Trained, wanted: Record<string, Float64Array>): void {
  const whole = Math.hypot(...Object.values(wanted).map(norm));
  assert.ok(whole > 0);
  for (const [name, gradient] of Object.entries(wanted)) near(got.gradients[0]?.[name], gradient, whole, `the gradient of ${name}`);
}

describe('training together', function () {
  this.timeout(300_000);
  let scratch: string;
  before(async () => (scratch = await mkdtemp(join(tmpdir(), 'cornernet-together-'))));
  after(() => rm(scratch, { recursive: true, force: true }));

  const setting = (batches: number[][], more: Partial<TrainSetting> = {}): TrainSetting => ({
    ...{ folder, reference, fp64: true, gradients: 1 },
    ...{ batches: batches.map((pictures) => ({ pictures, learningRate })), ...more },
  });

  /** @param parts each process's pictures, of each step. */
  async function together(parts: number[][][], freezeNorms: boolean): Promise<Trained[]> {
    const port = await freePort();
    return Promise.all(
      parts.map(async (batches, rank) => {
        const [input, output] = ['json', 'out'].map((ending) => join(scratch, `${rank}.${ending}`)) as [string, string];
        writeFileSync(input, JSON.stringify(setting(batches, { freezeNorms, membership: { rank, processes: parts.length, port } })));
        const { code, stderr } = await runNode(['--import', 'tsx', join(root, 'test', 'support', 'train-part.ts'), input, output]);
        assert.equal(code, 0, stderr);
        return deserialize(readFileSync(output)) as Trained;
      }),
    );
  }

  function same(ranks: readonly Trained[]): void {
    for (const other of ranks.slice(1)) {
      assert.deepEqual(other.steps, ranks[0]?.steps);
      for (const [name, values] of Object.entries(other.tensors))
        if (!/running_|num_batches/.test(name)) assert.deepEqual(values, ranks[0]?.tensors[name], name);
    }
  }

  for (const parts of [
    [[[0, 1, 2, 3], [5]], [[4, 5], [0, 1]]], // prettier-ignore
    [[[0, 1], [4]], [[2, 3, 4], [3]], [[5], []]], // prettier-ignore
  ]) {
    const whole = [0, 1].map((step) => parts.flatMap((batches) => batches[step] ?? []));

    it(`${parts.length} processes with frozen norms have the losses, gradients and weights of one with the whole batch`, async () => {
      const ranks = await together(parts, true);
      same(ranks);
      const one = await trainAs(setting(whole, { freezeNorms: true }));
      const [first] = ranks as [Trained];
      nearGradients(first, one.gradients[0] ?? {});
      first.steps.forEach((step, i) => {
        const wanted = one.steps[i]?.total ?? NaN;
        // The second is after a step of Adam, which makes much of gradients that are nearly nothing.
        assert.ok(Math.abs(step.total - wanted) < (i === 0 ? allowed : 1e-5) * wanted, `step ${i}: ${step.total} instead of ${wanted}`);
      });
    });
  }

  for (const parts of [
    [[[0, 1, 2]], [[3, 4, 5]]],
    [[[0, 1]], [[2, 3]], [[4, 5]]],
  ]) {
    it(`${parts.length} processes whose norms measure have the mean of the replicas' gradients and losses`, async () => {
      const ranks = await together(parts, false);
      same(ranks);
      const replicas = await Promise.all(parts.map((batches) => trainAs(setting(batches))));
      const names = Object.keys(replicas[0]?.gradients[0] ?? {});
      const means = names.map((name): [string, Float64Array] => {
        const all = replicas.map(({ gradients }) => gradients[0]?.[name] ?? new Float64Array());
        return [name, (all[0] ?? new Float64Array()).map((_, i) => all.reduce((sum, values) => sum + (values[i] ?? NaN), 0) / all.length)];
      });
      const [first] = ranks as [Trained];
      nearGradients(first, Object.fromEntries(means));
      const wanted = replicas.reduce((sum, { steps }) => sum + (steps[0]?.total ?? NaN), 0) / replicas.length;
      assert.ok(Math.abs((first.steps[0]?.total ?? NaN) - wanted) < allowed * wanted);
    });
  }
});
