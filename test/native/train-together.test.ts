// Gradients of processes that train together, over gloo on the loopback, against one process's.
import { strict as assert } from 'node:assert';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize } from 'node:v8';

import { fixtures, root } from '../environment.js';
import { until } from '../support/batch.js';
import { runNode, type Ended, type RunOptions } from '../support/child.js';
import { freePort } from '../../lib/free-port.js';
import { allInAFolder } from '../support/scratch.js';
import { trainAs, type TrainedAs, type TrainPictures, type TrainSetting } from '../support/train-as.js';

type Trained = Pick<TrainedAs, 'steps' | 'gradients' | 'tensors'>;

const folder = join(fixtures, 'training');
const reference = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')) as TrainPictures;
const learningRate = 1e-4;
const train = ['--import', 'tsx', join(root, 'test', 'support', 'train-part.ts')];
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
  allInAFolder('together', (made) => (scratch = made));

  const setting = (batches: number[][], more: Partial<TrainSetting> = {}): TrainSetting => ({
    ...{ folder, reference, fp64: true, gradients: 1 },
    ...{ batches: batches.map((pictures) => ({ pictures, learningRate })), ...more },
  });

  /** One of the processes. @returns how it ended, and where its result is. */
  async function part(one: TrainSetting, during?: RunOptions['during']): Promise<Ended & { output: string }> {
    const { port = 0, rank = 0 } = one.membership ?? {};
    const [input, output] = ['json', 'out'].map((ending) => join(scratch, `${port}-${rank}.${ending}`)) as [string, string];
    writeFileSync(input, JSON.stringify(one));
    return { ...(await runNode([...train, input, output], { ...(during && { during }) })), output };
  }

  /** @param parts each process's pictures, of each step. */
  async function together(parts: number[][][], freezeNorms: boolean): Promise<Trained[]> {
    const port = await freePort();
    return Promise.all(
      parts.map(async (batches, rank) => {
        const { code, stderr, output } = await part(setting(batches, { freezeNorms, membership: { rank, processes: parts.length, port } }));
        assert.equal(code, 0, stderr);
        return deserialize(readFileSync(output)) as Trained;
      }),
    );
  }

  for (const [victim, sentence] of [
    [0, /rank 0 of 2, through which the processes hear of each other, shows no sign of life any more/],
    [1, /rank 1 of 2 shows no sign of life any more/],
  ] as const) {
    it(`rank ${victim}, stopped in mid-training, ends the other`, async () => {
      const port = await freePort();
      let stopped: ChildProcess | undefined;
      const ends = [0, 1].map((rank) =>
        part(
          setting([[0], [1], [2]], {
            membership: { rank, processes: 2, port, dead: 8 },
            stoppedAt: rank === victim ? 1 : undefined,
          }),
          rank === victim ? (child) => (stopped = child) : undefined,
        ),
      );
      try {
        const { code, stderr } = (await ends[1 - victim]) ?? {};
        assert.equal(code, 1, stderr);
        assert.match(stderr ?? '', sentence);
      } finally {
        stopped?.kill('SIGKILL');
        await Promise.all(ends);
      }
    });
  }

  it('stopped and gone on with, one after the other, blame nobody', async () => {
    const port = await freePort();
    const children: ChildProcess[] = [];
    const ends = [0, 1].map((rank) =>
      part(setting([[0], [1], [2]], { membership: { rank, processes: 2, port, dead: 4 }, stoppedAt: 1 }), (child) => children.push(child)),
    );
    const isStopped = ({ pid }: ChildProcess): boolean => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    await until(() => children.every(isStopped), 'both are stopped');
    await sleep(6_000); // longer than either may be silent
    for (const child of children) {
      child.kill('SIGCONT');
      await sleep(1_000);
    }
    for (const { code, stderr } of await Promise.all(ends)) assert.equal(code, 0, stderr);
  });

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
