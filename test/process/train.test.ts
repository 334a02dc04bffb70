// cornernet train as a user runs it: to the end, cut off, gone on with, and what it refuses.
import { strict as assert } from 'node:assert';
import { execFile, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, readFile, readdir, rename, stat, truncate, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';

import { Detector } from '../../lib/index.js';
import { orSkip, pythonWithTorch } from '../environment.js';
import { hasOpen, until } from '../support/batch.js';
import { GrowingFile } from '../../lib/jobs/lines.js';
import { cornernet, type Ended } from '../support/child.js';
import { withFaults } from '../support/faults.js';
import { allInAFolder } from '../support/scratch.js';
import {
  digestOf,
  logOf as linesIn,
  slowSteps,
  smallAnnotations,
  smallFlags,
  smallPictures as data,
  writeSmallAnnotations,
} from '../support/small-training.js';

describe('cornernet train', function () {
  this.timeout(300_000);
  let scratch: string;
  let file: string;

  allInAFolder('train', async (made) => {
    scratch = made;
    file = await writeSmallAnnotations(scratch);
  });

  interface Ending {
    /** Kills when the log has so many lines. */
    readonly lines: number;
    readonly signal: NodeJS.Signals;
  }

  const flags = (output: string): string[] => [...smallFlags(join(scratch, output), file), '--batch-size', '2', '--progress', 'json'];

  async function train(output: string, more: readonly string[] = [], ending?: Ending, env?: NodeJS.ProcessEnv): Promise<Ended> {
    let watch: NodeJS.Timeout | undefined;
    const during = (child: ChildProcess): void => {
      if (!ending) return;
      watch = setInterval(() => {
        if (logOf(output).length >= ending.lines) {
          clearInterval(watch);
          child.kill(ending.signal);
        }
      }, 5);
    };
    try {
      return await cornernet([...flags(output), ...more], { during, ...(env && { env: { ...process.env, ...env } }) });
    } finally {
      clearInterval(watch);
    }
  }

  const digest = (output: string): Promise<string> => digestOf(join(scratch, output));
  const logOf = (output: string) => linesIn(join(scratch, output));

  const steps = ['--iterations', '60', '--save-every', '5'];

  it('leaves checkpoints, a log, a report and its configuration, which the detector and torch read', async function () {
    const validated = ['--val-images', data, '--val-annotations', file, '--val-every', '2'];
    const { code, stderr, stdout } = await train('whole', ['--iterations', '6', ...validated]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /"event":"end","state":"complete","iteration":6/);
    assert.deepEqual((await readdir(join(scratch, 'whole'))).sort(), ['best.pth', 'config.json', 'last.pth', 'log.jsonl', 'report.html']);
    const lines = logOf('whole');
    assert.deepEqual(lines.map(({ iteration }) => iteration), [1, 2, 3, 4, 4, 5, 6, 6]); // prettier-ignore
    assert.equal(lines.filter((line) => 'AP' in line).length, 2);
    // From the first step on, and after a validation.
    assert.ok(
      lines.every((line) => 'AP' in line || Number(line.picturesPerSecond) > 0),
      JSON.stringify(lines),
    );
    const page = await readFile(join(scratch, 'whole', 'report.html'), 'utf8');
    for (const part of ['Losses', 'Average precision', 'Learning rate', 'picture0.png after']) assert.ok(page.includes(part), part);

    {
      await using detector = await Detector.load(join(scratch, 'whole', 'best.pth'), { device: 'cpu' });
      assert.deepEqual(detector.classes, ['ant', 'bee', 'cat', 'dog']);
      assert.equal((await detector.detect(join(data, 'picture0.png'))).width, 127);
      assert.equal(detector.stats.views, 1, 'it is mirrored, other than it was measured');
    }

    const again = await train('again', ['--config', join(scratch, 'whole', 'config.json')]);
    assert.equal(again.code, 0, again.stderr);
    assert.equal(await digest('again'), await digest('whole'), 'the configuration makes another run');

    const python = await orSkip(this, pythonWithTorch);
    const program = `
import sys, torch
c = torch.load(sys.argv[1], weights_only=True)
assert c['meta']['CLASSES'] == ('ant', 'bee', 'cat', 'dog') and c['meta']['iter'] == 6
statistics = ('running_mean', 'running_var', 'num_batches_tracked')
learned = [torch.nn.Parameter(v) for k, v in c['state_dict'].items() if not k.endswith(statistics)]
adam = torch.optim.Adam(learned)
adam.load_state_dict(c['optimizer'])
assert all(adam.state[p]['step'] == 6 and adam.state[p]['exp_avg'].shape == p.shape for p in learned)`;
    await promisify(execFile)(python, ['-c', program, join(scratch, 'whole', 'last.pth')]);
  });

  it('comes to the same weights when it is killed, stopped and gone on with', async function () {
    const slow = await orSkip(this, () => slowSteps('cut'));
    const whole = await train('uncut', steps);
    assert.equal(whole.code, 0, whole.stderr);

    const killed = await train('cut', steps, { lines: 8, signal: 'SIGKILL' }, slow);
    assert.equal(killed.signal, 'SIGKILL');
    assert.ok(existsSync(join(scratch, 'cut', 'last.pth')));
    const stopped = await train('cut', steps, { lines: logOf('cut').length + 3, signal: 'SIGINT' }, slow);
    assert.equal(stopped.code, 130, stopped.stderr);
    assert.match(stopped.stderr, /going on after step \d+ of 60/);
    assert.match(stopped.stderr, /saved after step \d+ of 60; the same command goes on/);
    const ended = await train('cut', steps);
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(await digest('cut'), await digest('uncut'));
    assert.deepEqual(logOf('cut').map(({ loss }) => loss), logOf('uncut').map(({ loss }) => loss)); // prettier-ignore
  });

  it('overwrites nothing when the last checkpoint or the log is gone, and begins anew after a kill before the first checkpoint', async () => {
    const six = ['--iterations', '6', '--save-every', '5', '--val-images', data, '--val-annotations', file, '--val-every', '2'];
    const whole = await train('gone', six);
    assert.equal(whole.code, 0, whole.stderr);
    const folder = join(scratch, 'gone');
    const kept = async (): Promise<string[]> => {
      const names = (await readdir(folder)).filter((name) => name !== 'log.jsonl' || logOf('gone').length > 0);
      return Promise.all(names.sort().map(async (name) => `${name} ${(await readFile(join(folder, name))).toString('latin1')}`));
    };
    const refuses = async (sentence: RegExp): Promise<void> => {
      const before = await kept();
      const { code, stderr } = await train('gone', six);
      assert.equal(code, 1, stderr);
      assert.match(stderr, sentence);
      assert.deepEqual(await kept(), before);
    };
    const takeAway = (name: string): Promise<void> => rename(join(folder, name), join(scratch, name));
    const lines = (await readFile(join(folder, 'log.jsonl'), 'utf8')).split('\n');
    const writeLog = (some: string[]): Promise<void> => writeFile(join(folder, 'log.jsonl'), some.join('\n') + '\n');
    const unsaid = /^ERR_JOB: .*log\.jsonl does not say what AP .*best\.pth has, which a worse one would overwrite: put the log back/m;
    await takeAway('log.jsonl');
    await refuses(unsaid);
    await writeLog(lines.filter((line) => line && !line.includes('"best":true')));
    await refuses(unsaid);
    await writeLog(lines.slice(0, -1));
    await takeAway('last.pth');
    await refuses(/^ERR_JOB: .*gone has no last\.pth to go on from, but .*best\.pth, which beginning anew would overwrite: put/m);
    await takeAway('best.pth');
    await refuses(/but .*report\.html, which/);
    await takeAway('report.html');
    await refuses(/but a log of later steps, which/);
    await writeLog(lines.slice(0, 4));
    const anew = await train('gone', six);
    assert.equal(anew.code, 0, anew.stderr);
    assert.deepEqual(await readFile(join(folder, 'last.pth')), await readFile(join(scratch, 'last.pth')));
  });

  it('ends a validation at the first signal, measures when it goes on, and says what validation could not read', async function () {
    const images = join(scratch, 'measured');
    await cp(data, images, { recursive: true });
    await writeFile(join(images, 'picture1.png'), 'no picture'); // of which the sentence is our own, the same each time
    const validated = ['--iterations', '4', '--val-images', images, '--val-annotations', file];
    const slow = await orSkip(this, () => withFaults({ rules: ['read:slow=5000'], path: 'measured/picture4', process: 'cli.js' }));
    const during = (child: ChildProcess): void =>
      void until(() => hasOpen(child.pid ?? 0, [join(images, 'picture4.png')]), 'a validation').then(() => child.kill('SIGINT'));
    const ended = await cornernet([...flags('ended'), ...validated], { during, env: slow });
    assert.equal(ended.code, 130, ended.stderr);
    assert.match(ended.stderr, /saved after step 2 of 4; the same command goes on/);
    const again = await train('ended', validated);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(logOf('ended').map((line) => [line['iteration'], 'AP' in line]), [[1, false], [2, false], [2, true], [3, false], [4, false], [4, true]]); // prettier-ignore
    assert.equal(again.stderr.match(/validation: 1 pictures could not be read and count as empty/g)?.length, 1);
  });

  it('takes a checkpoint, or another length, instead of what a configuration file says', async () => {
    const config = join(scratch, 'stated.json');
    await writeFile(config, JSON.stringify({ epochs: 50, architecture: { stacks: 1 } }));
    const stated = await train('stated', ['--config', config, '--from', join(data, 'start.pth'), '--iterations', '1']);
    assert.equal(stated.code, 0, stated.stderr);
    const preset = await train('preset', ['--config', config, '--preset', '10x5']);
    assert.equal(preset.code, 1, preset.stderr);
    assert.match(preset.stderr, /^ERR_OPTION: --preset would not count beside .*stated\.json, which states architecture$/m);
    assert.ok(!existsSync(join(scratch, 'preset')));
  });

  it('goes on, and is repeated, from another working directory', async () => {
    const start = ['--from', 'start.pth', '--iterations', '1'];
    const near = [...flags('elsewhere'), '--images', '.', '--annotations', relative(data, file), ...start];
    const begun = await cornernet(near, { cwd: data });
    assert.equal(begun.code, 0, begun.stderr);
    const gone = await train('elsewhere', ['--from', join(data, 'start.pth'), '--iterations', '1']);
    assert.match(gone.stderr, /going on after step 1 of 1/);
    const again = await cornernet(['train', '--config', 'elsewhere/config.json', '--output', 'repeated', '--threads', '1'], {
      cwd: scratch,
    });
    assert.equal(again.code, 0, again.stderr);
    assert.equal(await digest('repeated'), await digest('elsewhere'));
  });

  it('comes to the same weights in every run, however many threads read pictures, and when activations are computed again', async () => {
    const two = ['--iterations', '6', '--threads', '2', '--batch-size', '4'];
    const first = await train('first', two, undefined, { UV_THREADPOOL_SIZE: '1' });
    assert.equal(first.code, 0, first.stderr);
    const second = await train('second', two, undefined, { UV_THREADPOOL_SIZE: '8' });
    assert.equal(second.code, 0, second.stderr);
    const third = await train('third', [...two, '--recompute']);
    assert.equal(third.code, 0, third.stderr);
    assert.equal(await digest('second'), await digest('first'));
    assert.equal(await digest('third'), await digest('first'));
  });

  it('takes a checkpoint over, and says what starts anew', async () => {
    const { code, stderr } = await train('from', ['--from', join(data, 'start.pth'), '--iterations', '1', '--freeze', 'backbone']);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /\d+ tensors were taken over from .*start.pth, /);
    const other = await train('digits', ['--from', 'digits', '--iterations', '1']);
    assert.equal(other.code, 0, other.stderr);
    assert.match(other.stderr, /8 start anew \(bbox_head\.tl_heat\.0\.1\.conv\.weight, /);
  });

  it('refuses with a code what can not be', async () => {
    const refuses = async (output: string, more: readonly string[], sentence: RegExp): Promise<void> => {
      const { code, stderr } = await train(output, more);
      assert.equal(code, 1, stderr);
      assert.match(stderr, sentence);
    };
    await train('begun', ['--iterations', '1']);
    await refuses('begun', ['--iterations', '2'], /^ERR_JOB: the training in .* was begun otherwise: iterations was 1 and is 2/m);
    const changing = join(scratch, 'changing.json');
    const measured = ['--iterations', '1', '--val-images', data, '--val-annotations', changing];
    await cp(file, changing);
    await train('changing', measured);
    await writeFile(changing, JSON.stringify({ ...smallAnnotations, annotations: smallAnnotations.annotations.slice(1) }));
    await refuses('changing', measured, /^ERR_JOB: the training in .* was begun otherwise: .*changing\.json has other annotations; go on/m);
    await refuses('.', ['--iterations', '1'], /^ERR_JOB: .* is no training's folder and not empty/m);
    const noDevice =
      /^ERR_DEVICE: (this build has no CUDA side \(cornernet doctor says what is missing\)|no CUDA device was found \(.*\)|cuda:99 was asked for, but this process sees \d+ CUDA device\(s\))$/m;
    await refuses('no', ['--iterations', '1', '--device', 'cuda:99'], noDevice);
    const narrow = ['--iterations', '1', '--preset', '10x5', '--batch-size', '1', '--crop', '32'];
    await refuses(
      'narrow',
      narrow,
      /^ERR_INPUT: step 1: a norm would measure the spread of a single value a channel: .*; its pictures are picture/m,
    );
    await refuses('no16', ['--iterations', '1', '--precision', 'fp16'], /^ERR_DEVICE: precision 'fp16' needs a CUDA device/m);
    await refuses('rate', ['--iterations', '9', '--lr', '1', '--warmup', '0', '--from', join(scratch, 'nan.pth')], /^ERR_WEIGHTS/m);
    await cp(join(scratch, 'begun'), join(scratch, 'broken'), { recursive: true });
    await truncate(join(scratch, 'broken', 'last.pth'), 1000);
    await refuses('broken', ['--iterations', '1'], /^ERR_CHECKPOINT: .*last.pth: /m);
    const unknown = join(scratch, 'unknown.json');
    await writeFile(unknown, JSON.stringify({ ...smallAnnotations, categories: [...smallAnnotations.categories, { id: 9, name: 'eel' }] }));
    const outside = join(scratch, 'outside.json');
    const images = [{ ...smallAnnotations.images[0], file_name: '../digits/val/0076.jpg' }, ...smallAnnotations.images.slice(1)];
    await writeFile(outside, JSON.stringify({ ...smallAnnotations, images }));
    await refuses(
      'out',
      ['--iterations', '1', '--val-images', data, '--val-annotations', outside],
      /^ERR_INPUT: .*0076.jpg, which is outside/m,
    );
    assert.deepEqual(await readdir(join(scratch, 'out')), [], 'a step was done before');
    await refuses(
      'val',
      ['--iterations', '1', '--val-images', data, '--val-annotations', unknown],
      /^ERR_INPUT: .* 1 categories that are not trained: eel/m,
    );
    const crowds = join(scratch, 'crowds.json');
    const annotations = smallAnnotations.annotations.map((one) => ({ ...one, iscrowd: 1 }));
    await writeFile(crowds, JSON.stringify({ ...smallAnnotations, annotations }));
    await refuses(
      'val',
      ['--iterations', '1', '--val-images', data, '--val-annotations', crowds],
      /^ERR_INPUT: .*crowds\.json has no object to measure average precision by$/m,
    );
    const idle = await train('idle', ['--iterations', '1', '--annotations', unknown]);
    assert.match(idle.stderr, /classes without an object: eel$/m);
  });

  it('is one process at a time, and believes no checkpoint that is not of its steps', async () => {
    let owner: ChildProcess | undefined;
    const first = cornernet([...flags('busy'), '--iterations', '100000'], { during: (child) => (owner = child) });
    try {
      await until(() => existsSync(join(scratch, 'busy', 'lock-000001.json')), 'the first one takes the folder');
      const { code, stderr } = await train('busy', ['--iterations', '100000']);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^ERR_LOCKED: /m);
    } finally {
      owner?.kill('SIGKILL');
      await first;
    }
    await train('shared', ['--iterations', '1']);
    await train('more', ['--iterations', '3']);
    await cp(join(scratch, 'more', 'last.pth'), join(scratch, 'shared', 'last.pth'));
    const foreign = await train('shared', ['--iterations', '1']);
    assert.match(foreign.stderr, /^ERR_JOB: .*last\.pth is not of this training: it says that 3 of 1 steps are done$/m);
  });

  it('a disk that is full and a kill in mid-write leave the checkpoint before, and nothing aside', async function () {
    const path = join(scratch, 'disk', 'last.pth');
    const ended = async (...rules: string[]): Promise<Ended> =>
      cornernet([...flags('disk'), '--iterations', '3', '--save-every', '1'], {
        env: await orSkip(this, () => withFaults({ path, rules })),
      });
    const full = await ended('write:short:20:3', 'fsync:ENOSPC:2');
    assert.deepEqual(
      [full.code, /^ERR_WRITE: .*last\.pth can't be written: No space left on device$/m.test(full.stderr)],
      [1, true],
      full.stderr,
    );
    assert.deepEqual((await readdir(join(scratch, 'disk'))).sort(), ['config.json', 'last.pth', 'log.jsonl']);
    await chmod(path, 0o600);
    assert.equal((await ended('write:kill:5')).signal, 'SIGKILL');
    assert.equal((await readdir(join(scratch, 'disk'))).filter((name) => name.endsWith('.part')).length, 1);
    const again = await ended();
    assert.deepEqual([again.code, /going on after step \d of 3/.test(again.stderr)], [0, true], again.stderr);
    assert.deepEqual((await readdir(join(scratch, 'disk'))).sort(), ['config.json', 'last.pth', 'log.jsonl', 'report.html']);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('keeps the log of steps whose gradients fp16 could not hold', async () => {
    const three = ['--iterations', '3'];
    await train('skipped', three);
    const lines = logOf('skipped').map((line, i) => ({ ...line, ...(i === 1 && { gradientNorm: null }), crc32: undefined }));
    const log = await GrowingFile.open(join(scratch, 'skipped', 'log.jsonl'), 0);
    for (const line of lines) await log.append(line);
    await log.close();
    const { code, stderr } = await train('skipped', three);
    assert.equal(code, 0, stderr);
    assert.deepEqual(logOf('skipped').map((line) => ({ ...line, crc32: undefined })), lines); // prettier-ignore
    assert.match(await readFile(join(scratch, 'skipped', 'report.html'), 'utf8'), /3 of 3 steps are done.*Gradient&#39;s norm/s);
  });

  it('says once which picture has another size than the annotations state, and how many', async () => {
    const stated = join(scratch, 'stated-sizes.json');
    await writeFile(
      stated,
      JSON.stringify({ ...smallAnnotations, images: smallAnnotations.images.map((one) => ({ ...one, width: 128 })) }),
    );
    const { code, stderr } = await train('resized', ['--iterations', '4', '--annotations', stated]);
    assert.equal(code, 0, stderr);
    assert.equal(
      stderr.match(/picture\d\.png has 127x127 pixels, not 128x127 as the annotations state; its boxes count as they are$/gm)?.length,
      1,
    );
    assert.equal(stderr.match(/^.*4 pictures have other sizes than the annotations state$/gm)?.length, 1);
  });

  it('leaves pictures out that do not decode, and says so', async () => {
    const folder = join(scratch, 'pictures');
    await cp(data, folder, { recursive: true });
    await writeFile(join(folder, 'picture1.png'), 'no picture');
    const { code, stderr } = await train('undecoded', ['--iterations', '2', '--batch-size', '4', '--images', folder]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /left out in step 1: .*picture1.png can't be read as a picture/);
    const [first] = logOf('undecoded');
    assert.equal((first?.['failed'] as { name: string }[])[0]?.name, 'picture1.png');
    assert.match(await readFile(join(scratch, 'undecoded', 'report.html'), 'utf8'), /Pictures that could not be read/);
  });
});
