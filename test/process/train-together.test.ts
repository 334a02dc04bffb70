// cornernet train in several processes, as torchrun starts them, and on several devices of one: to the end, with one killed, and what they refuse.
import { strict as assert } from 'node:assert';
import { execFile, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { CornerNetError } from '../../lib/errors.js';
import { loadNative } from '../../lib/native.js';
import { devicesOf } from '../../lib/train/membership.js';
import { trainOn } from '../../lib/train/run.js';
import { orSkip, pythonWithTorch, root, skipBecause, skipWithoutGpu } from '../environment.js';
import { until } from '../support/batch.js';
import { cornernet, runScript, type Ended } from '../support/child.js';
import { freePort } from '../../lib/free-port.js';
import { allInAFolder } from '../support/scratch.js';
import {
  digestOf,
  logOf,
  slowSteps,
  smallAnnotations,
  smallFlags,
  smallPictures,
  writeSmallAnnotations,
} from '../support/small-training.js';

describe('cornernet train, several processes', function () {
  this.timeout(300_000);
  let scratch: string;
  let file: string;
  allInAFolder('train-together', async (made) => {
    scratch = made;
    file = await writeSmallAnnotations(scratch);
  });

  const argumentsOf = (output: string, more: readonly string[]): string[] => [
    ...smallFlags(join(scratch, output), file),
    ...['--batch-size', '1', '--progress', 'none', ...more],
  ];
  const variables = (rank: number, processes: number, port: number): NodeJS.ProcessEnv => ({
    ...process.env,
    ...{ RANK: String(rank), WORLD_SIZE: String(processes), MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(port) },
  });

  async function together(
    output: string,
    processes: number,
    more: readonly string[],
    during?: (children: readonly ChildProcess[]) => Promise<void>,
    faults: NodeJS.ProcessEnv = {},
  ): Promise<Ended[]> {
    const port = await freePort();
    const children: ChildProcess[] = [];
    const ended = Array.from({ length: processes }, (_, rank) =>
      cornernet(argumentsOf(output, more), {
        env: { ...variables(rank, processes, port), ...faults },
        during: (child) => children.push(child),
      }),
    );
    await during?.(children);
    return Promise.all(ended);
  }

  const linesOf = (output: string): number => logOf(join(scratch, output)).length;

  /** Waits until a log has so many lines, which it never will once a process has ended. */
  const hasLines = (output: string, lines: number, children: readonly ChildProcess[]): Promise<void> =>
    until(() => linesOf(output) >= lines || children.some(({ exitCode }) => exitCode !== null), `step ${lines} of ${output}`, 120);

  const steps = ['--iterations', '40', '--save-every', '5'];

  it('ends the others when one is killed, goes on from the last checkpoint, and comes to the same weights', async function () {
    const slow = await orSkip(this, () => slowSteps('cut'));
    for (const { code, stderr } of await together('uncut', 2, steps)) assert.equal(code, 0, stderr);
    assert.deepEqual((await readdir(join(scratch, 'uncut'))).sort(), ['config.json', 'last.pth', 'log.jsonl', 'report.html']);
    assert.equal(linesOf('uncut'), 40);
    const { processes } = JSON.parse(await readFile(join(scratch, 'uncut', 'config.json'), 'utf8')) as { processes: number };
    assert.equal(processes, 2);

    for (const victim of [1, 0]) {
      let killedAt = NaN;
      const lines = linesOf('cut') + 8;
      const kill = async (children: readonly ChildProcess[]): Promise<void> => {
        await hasLines('cut', lines, children);
        killedAt = performance.now();
        children[victim]?.kill('SIGKILL');
      };
      const ends = await together('cut', 2, steps, kill, slow);
      assert.ok(performance.now() - killedAt < 30_000, 'the other went on');
      assert.equal(ends[victim]?.signal, 'SIGKILL');
      assert.equal(ends[1 - victim]?.code, 1);
      assert.match(ends[1 - victim]?.stderr ?? '', /^ERR_PEER: (another process of this training|rank \d of 2).* has ended/m);
    }
    const ends = await together('cut', 2, steps);
    for (const { code, stderr } of ends) assert.equal(code, 0, stderr);
    assert.match(ends[0]?.stderr ?? '', /going on after step \d+ of 40/);
    assert.equal(await digestOf(join(scratch, 'cut')), await digestOf(join(scratch, 'uncut')));
  });

  it('Ctrl-C to one of three stops all after the same step, saved', async () => {
    const ends = await together('stopped', 3, ['--iterations', '2000'], async (children) => {
      await hasLines('stopped', 5, children);
      children[2]?.kill('SIGINT');
    });
    for (const { code, stderr } of ends) assert.equal(code, 130, stderr);
    assert.match(ends[0]?.stderr ?? '', new RegExp(`saved after step ${linesOf('stopped')} of 2000`));
    assert.ok(existsSync(join(scratch, 'stopped', 'last.pth')));
    const alone = await cornernet(argumentsOf('stopped', ['--iterations', '2000']));
    assert.match(alone.stderr, /^ERR_JOB: .* begun otherwise: .*the number of processes was 3 and is 1/m);
  });

  it('says on every side what only one process meets', async () => {
    const port = await freePort();
    let owner: ChildProcess | undefined;
    const alone = cornernet(argumentsOf('busy', ['--iterations', '100000']), { during: (child) => (owner = child) });
    try {
      await until(() => existsSync(join(scratch, 'busy', 'log.jsonl')), 'the first training begins');
      const ends = await Promise.all(
        [0, 1].map((rank) => cornernet(argumentsOf('busy', ['--iterations', '100000']), { env: variables(rank, 2, port) })),
      );
      assert.match(ends[0]?.stderr ?? '', /^ERR_LOCKED/m);
      assert.match(ends[1]?.stderr ?? '', /^ERR_PEER: rank 0 of 2 ended: ERR_LOCKED: /m);
    } finally {
      owner?.kill('SIGKILL');
      await alone;
    }
  });

  it('refuses, in time, what can not come together', async () => {
    const port = await freePort();
    const alone = async (more: NodeJS.ProcessEnv, sentence: RegExp, options: readonly string[] = []): Promise<void> => {
      const env = { ...variables(0, 2, port), ...more };
      const { code, stderr } = await cornernet(argumentsOf('refused', ['--iterations', '1', '--join-seconds', '2', ...options]), { env });
      assert.equal(code, 1, stderr);
      assert.match(stderr, sentence);
    };
    await alone({ WORLD_SIZE: '' }, /^ERR_OPTION: the environment has RANK and MASTER_ADDR and MASTER_PORT but no WORLD_SIZE/m);
    await alone({ RANK: '2' }, /^ERR_OPTION: the environment says RANK 2 of a WORLD_SIZE of 2: ranks count from 0 to 1/m);
    await alone({ RANK: 'one' }, /^ERR_OPTION: the environment variable RANK is "one", not a whole number/m);
    await alone({}, /^ERR_PEER: not all of the 2 processes came within 2 s; still missing: rank 1/m);
    await alone({ RANK: '1' }, new RegExp(`^ERR_PEER: rank 0 can't be reached at 127.0.0.1:${port}: Connection refused`, 'm'));
    await alone({ RANK: '1', MASTER_ADDR: 'nowhere.invalid' }, /^ERR_PEER: rank 0 can't be reached at nowhere.invalid:\d+: /m);

    await alone({ LOCAL_RANK: 'x' }, /^ERR_OPTION: the environment variable LOCAL_RANK is "x"/m, ['--device', 'cuda']);
    await alone({ LOCAL_WORLD_SIZE: '2' }, /^ERR_OPTION: the environment starts several processes on this machine, each of which/m, [
      '--device',
      'cuda:*',
    ]);

    const fewer = join(scratch, 'fewer.json');
    await writeFile(fewer, JSON.stringify({ ...smallAnnotations, annotations: smallAnnotations.annotations.slice(1) }));
    const differs = async (more: readonly string[], difference: string): Promise<void> => {
      const ends = await Promise.all(
        [[], more].map((options, rank) =>
          cornernet(argumentsOf('other', ['--iterations', '1', ...options]), { env: variables(rank, 2, port) }),
        ),
      );
      const sentence = `^ERR_PEER: (rank \\d of 2 ended: ERR_PEER: )?rank 1 was started with other settings than rank 0: ${difference}$`;
      for (const { code, stderr } of ends) {
        assert.equal(code, 1);
        assert.match(stderr, new RegExp(sentence, 'm'));
      }
    };
    await differs(['--seed', '7'], 'seed was 0 and is 7');
    await differs(['--annotations', fewer], `${fewer} has other annotations`);
  });

  const few = { iterations: 12, saveEvery: 5 };
  const fewFlags = ['--iterations', '12', '--save-every', '5'];
  /** As the command's. */
  const optionsOf = (output: string) => ({
    ...{ images: smallPictures, annotations: file, output: join(scratch, output), crop: 64, batchSize: 1, threads: 2, joinSeconds: 20 },
    ...few,
  });

  it('two devices of one process come to the weights of two processes, also when they are stopped and go on', async () => {
    for (const { code, stderr } of await together('processes', 2, fewFlags)) assert.equal(code, 0, stderr);
    const stop = new AbortController();
    const onProgress = ({ iteration }: { iteration: number }): void => (iteration >= 5 ? stop.abort() : undefined);
    const { state, iteration } = await trainOn(['cpu', 'cpu'], optionsOf('devices'), { onProgress, finish: stop.signal });
    assert.equal(state, 'stopped');
    assert.ok(iteration >= 5 && iteration < few.iterations, String(iteration));
    const said: string[] = [];
    const end = await trainOn(['cpu', 'cpu'], optionsOf('devices'), { onMessage: (text) => said.push(text) });
    assert.equal(end.state, 'complete');
    assert.deepEqual(said, ['waiting for all 2 that train together', 'training on cpu in fp32', `going on after step ${iteration} of 12`]);
    assert.equal(linesOf('devices'), few.iterations);
    assert.equal(await digestOf(join(scratch, 'devices')), await digestOf(join(scratch, 'processes')));
  });

  it('a device that fails ends the others for its own reason', async () => {
    const isNone = (error: unknown): boolean => error instanceof CornerNetError && error.code === 'ERR_DEVICE';
    await assert.rejects(trainOn(['cpu', 'cuda:99'], optionsOf('failing')), isNone);
    const enough = new Error('enough');
    const abort = AbortSignal.timeout(2_000);
    await assert.rejects(
      trainOn(['cpu', 'cpu', 'cpu'], { ...optionsOf('aborted'), iterations: 100_000 }, { signal: AbortSignal.any([abort]) }),
      { name: 'TimeoutError' },
    );
    const given = AbortSignal.abort(enough);
    await assert.rejects(trainOn(['cpu', 'cpu'], optionsOf('unbegun'), { signal: given }), enough);
  });

  it('an abort without a word and a worker that is terminated, while a sum waits for another process, end both', async () => {
    const module = JSON.stringify(join(root, 'dist', 'train.js'));
    const options = (output: string): string => JSON.stringify({ ...optionsOf(output), iterations: 100_000, saveEvery: 100_000 });
    const aborts = `
      const enough = new AbortController();
      process.once('SIGUSR2', () => enough.abort(''));
      const onProgress = ({ iteration }) => iteration === 3 && console.log('running');
      await require(${module}).train(${options('wordless')}, { signal: enough.signal, onProgress }).catch((error) => console.log('rejected', error));`;
    const terminates = `
      const { Worker } = require('node:worker_threads');
      const worker = new Worker(\`
        const onProgress = ({ iteration }) => iteration === 3 && console.log('running');
        require(${module}).train(${options('terminated')}, { onProgress });\`, { eval: true });
      process.once('SIGUSR2', () => void worker.terminate());`;
    for (const [output, body, said] of [
      ['wordless', aborts, 'running\nrejected \n'],
      ['terminated', terminates, 'running\n'],
    ] as const) {
      const port = await freePort();
      const waits = `await require(${module}).train(${options(output)}).catch(({ code, message }) => console.log(code, message));`;
      const children: ChildProcess[] = [];
      const ends = [body, waits].map((one, rank) =>
        runScript(one, { env: variables(rank, 2, port), during: (child) => children.push(child) }),
      );
      const [first, other] = children as [ChildProcess, ChildProcess];
      await new Promise((resolve) => first.stdout?.once('data', resolve));
      other.kill('SIGSTOP');
      await sleep(4_000); // in which the first comes to a sum
      first.kill('SIGUSR2');
      await sleep(200); // of five seconds in which the other may still hear of it
      other.kill('SIGCONT');
      const [{ code, stdout }, { stdout: heard }] = (await Promise.all(ends)) as [Ended, Ended];
      assert.deepEqual([code, stdout], [0, said]);
      assert.equal(heard, 'ERR_PEER rank 0 of 2 ended: it was given up\n');
    }
  });

  it('processes that torchrun starts train one network after the other', async function () {
    const python = await orSkip(this, pythonWithTorch);
    const module = JSON.stringify(join(root, 'dist', 'train.js'));
    const body = ['first', 'second'].map((output) => `await train(${JSON.stringify({ ...optionsOf(output), iterations: 2 })});`).join('\n');
    const script = join(scratch, 'twice.js');
    await writeFile(script, `const { train } = require(${module});\n(async () => {\n${body}\n})();`);
    const torchrun = ['-m', 'torch.distributed.run', '--no-python', '--nproc-per-node', '2', '--master-port', String(await freePort())];
    await promisify(execFile)(python, [...torchrun, process.execPath, script]);
    assert.deepEqual([linesOf('first'), linesOf('second')], [2, 2]);
  });

  it('each process that torchrun starts takes the GPU of its number', () => {
    const variables = { RANK: '3', WORLD_SIZE: '4', LOCAL_WORLD_SIZE: '2' };
    assert.deepEqual(devicesOf('cuda', { ...variables, LOCAL_RANK: '1' }), ['cuda:1']);
    assert.deepEqual(devicesOf('cuda', variables), ['cuda']);
    assert.deepEqual(devicesOf('cuda', { LOCAL_RANK: '1' }), ['cuda']);
    assert.deepEqual(devicesOf('cuda:0', { ...variables, LOCAL_RANK: '1' }), ['cuda:0']);
    assert.deepEqual(devicesOf('cpu', { ...variables, LOCAL_RANK: '1' }), ['cpu']);
  });

  /** As exact as the CPU: LibTorch rounds the inputs of convolutions to TF32 by default. */
  const exact = { NVIDIA_TF32_OVERRIDE: '0' };

  /** Rounding of convolutions differs between devices, and Adam makes much of it; the first step's losses are before that. */
  function assertSameBeginning(output: string, wanted: string): void {
    const [got, reference] = [output, wanted].map((name) => logOf(join(scratch, name))[0]?.['loss'] as number) as [number, number];
    assert.ok(Math.abs(got - reference) <= 1e-3 * reference, `${got} instead of ${reference}`);
  }

  it('two processes train on one GPU', async function () {
    skipWithoutGpu(this);
    for (const { code, stderr } of await together('reference', 2, fewFlags)) assert.equal(code, 0, stderr);
    for (const { code, stderr } of await together('gpu', 2, [...fewFlags, '--device', 'cuda'], undefined, exact))
      assert.equal(code, 0, stderr);
    assert.equal(linesOf('gpu'), few.iterations);
    assertSameBeginning('gpu', 'reference');
  });

  it('one process trains on every GPU, over NCCL', async function () {
    skipWithoutGpu(this);
    const usable = loadNative()
      .gpuInfo()
      .devices.filter(({ obstacle }) => obstacle === '').length;
    if (usable < 2) skipBecause(this, 'this machine has one GPU');
    const { code, stderr } = await cornernet(argumentsOf('gpus', [...fewFlags, '--device', 'cuda:*']), {
      env: { ...process.env, ...exact },
    });
    assert.equal(code, 0, stderr);
    for (const { code, stderr } of await together('many', usable, fewFlags)) assert.equal(code, 0, stderr);
    assertSameBeginning('gpus', 'many');
  });
});
