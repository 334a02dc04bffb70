// What changes under a job between and during its runs: its checkpoint, its pictures, its tar files.
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, renameSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pack } from 'tar-stream';

import { fixtures, root } from '../environment.js';
import { assertComplete, copiesIn, errorsOf, partsOf, photos, resultsOf } from '../support/batch.js';
import { cornernet, inChildren, startCornernet } from '../support/child.js';
import { RedisServer } from '../support/redis.js';
import { eachInAFolder } from '../support/scratch.js';

/** More than a process of Node's has that holds no picture whole. */
const megabytes = 500;

describe('what changes under a job', function () {
  this.timeout(300_000);
  let folder: string;
  let job: string;
  eachInAFolder('job', (made) => {
    folder = made;
    job = join(folder, 'job');
  });

  const copies = (count: number): string[] =>
    copiesIn(
      join(folder, 'pictures'),
      Array.from({ length: count }, (_, i) => `${i}.jpg`),
    );

  /** As if the job had been cut off before its last records. */
  function forget(records: number): void {
    const [part] = partsOf(job) as [string];
    const lines = readFileSync(part, 'utf8').trimEnd().split('\n');
    writeFileSync(part, lines.slice(0, -records).map((line) => `${line}\n`).join('')); // prettier-ignore
  }

  const batch = (...flags: string[]) => cornernet(['batch', '--output', job, '--progress', 'none', ...flags]);

  it('another checkpoint at the path is refused when the process starts again in mid-job', async () => {
    const weights = join(folder, 'weights.pth');
    copyFileSync(join(root, 'weights', 'digits.pth'), weights);
    const env = inChildren(
      join(folder, 'swap.cjs'),
      `process.on('message', (message) => {
         if (message.type !== 'detect') return;
         fs.copyFileSync(${JSON.stringify(join(fixtures, 'hourglass52_tiny.pth'))}, ${JSON.stringify(weights)});
         process.abort();
       });`,
    );
    const args = ['batch', ...photos.slice(0, 3), '--output', job, '--weights', weights];
    const { code, stderr } = await cornernet(args, { env });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^ERR_CHECKPOINT: .*weights\.pth has the sha256 [0-9a-f]{64}, the job's weights have [0-9a-f]{64}/m);
    assert.deepEqual(resultsOf(job), []);
    copyFileSync(join(root, 'weights', 'digits.pth'), weights);
    assert.equal((await cornernet(args)).code, 0);
    assertComplete(job, photos.slice(0, 3));
  });

  it('a picture that changed before its turn is an error, tried again as it is by then; one that changed after it is counted', async () => {
    const [first = '', second = '', third = ''] = copies(3);
    assert.equal((await batch(first, second, third)).code, 0);
    forget(2);
    copyFileSync(photos[7] as string, second);
    const { code, stderr } = await batch();
    assert.equal(code, 2, stderr);
    assertComplete(job, [first, second, third], [second]);
    const error = errorsOf(job)[0]?.error;
    assert.match(
      `${error?.code}: ${error?.message}`,
      /^ERR_INPUT: .*1\.jpg has changed since .* frozen \(it was \d+ bytes of .* and is \d+ bytes/,
    );
    assert.equal((await batch('--retry-errors')).code, 0);
    assertComplete(job, [first, second, third]);
    const summary = JSON.parse(readFileSync(join(job, 'summary.json'), 'utf8')) as { changed: number };
    assert.equal(summary.changed, 1);
    utimesSync(third, 1_000_000, 1_000_000);
    const verified = await batch('--verify', '--progress', 'json');
    assert.deepEqual([verified.code, (JSON.parse(verified.stdout) as { changed: number }).changed], [2, 2], verified.stderr);
  });

  it('with a queue the batch looks itself: what changed, or lies where looking hangs, is an error, the others are computed', async function () {
    const paths = copies(6);
    assert.equal((await batch(...paths)).code, 0);
    forget(5);
    copyFileSync(photos[7] as string, paths[1] as string);
    const preload = join(folder, 'hang.cjs');
    writeFileSync(
      preload,
      `const fs = require('node:fs');
       const { stat } = fs.promises;
       fs.promises.stat = (path, ...others) => (/pictures.[23]/.test(path) ? new Promise(() => undefined) : stat(path, ...others));`,
    );
    const redis = await RedisServer.start(this, folder);
    try {
      const shared = ['--queue', redis.url, '--root', folder];
      const worker = startCornernet(['worker', ...shared]);
      const env = { ...process.env, NODE_OPTIONS: `--require=${preload}` };
      const args = ['batch', '--output', job, '--timeout', '3', ...shared];
      const { code, stderr } = await cornernet(args, { env });
      assert.equal(code, 2, stderr);
      assertComplete(job, paths, paths.slice(1, 4));
      const messages = errorsOf(job).map(({ error }) => error.message).sort(); // prettier-ignore
      assert.match(messages[0] ?? '', /1\.jpg has changed since/);
      for (const late of messages.slice(1)) assert.match(late, /[23]\.jpg takes longer than the 3 s that timeout allows/);
      worker.child.kill('SIGKILL');
      await worker.ended;
    } finally {
      await redis.down('SIGKILL');
    }
  });

  it('with --hash-inputs bytes count, and nothing else', async () => {
    const [first = '', second = '', third = ''] = copies(3);
    assert.equal((await batch(first, second, third, '--hash-inputs')).code, 0);
    forget(2);
    utimesSync(second, 1_000_000, 1_000_000);
    // Of the same size and time, with one byte behind the picture's end changed.
    const bytes = readFileSync(third);
    writeFileSync(third, Buffer.concat([bytes.subarray(0, -1), Buffer.of((bytes.at(-1) as number) ^ 1)]));
    const [line] = readFileSync(join(job, 'list', '000000.jsonl'), 'utf8')
      .split('\n')
      .slice(2);
    const { seen } = JSON.parse(line as string) as { seen: { time: number } };
    utimesSync(third, seen.time / 1000, seen.time / 1000);
    const { code, stderr } = await batch();
    assert.equal(code, 2, stderr);
    assertComplete(job, [first, second, third], [third]);
    assert.match(errorsOf(job)[0]?.error.message ?? '', /its sha256 was [0-9a-f]{16} and is [0-9a-f]{16}/);
  });

  it('--hash-inputs reads a large member of a tar file piece by piece', async () => {
    const [file, told, preload] = [join(folder, 'large.tar'), join(folder, 'told'), join(folder, 'tell.cjs')];
    const tar = pack();
    tar.entry({ name: 'a.jpg', size: megabytes * 2 ** 20 });
    const [header] = (await once(tar, 'data')) as [Buffer];
    writeFileSync(file, header);
    truncateSync(file, 512 + megabytes * 2 ** 20 + 1024);
    writeFileSync(
      preload,
      // What the kernel knows of this process's memory: getrusage's peak has that of the process it came from in it.
      `const { readFileSync, writeFileSync } = require('node:fs');
       const peak = () => /VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1] / 1024;
       if (!process.send) process.on('exit', () => writeFileSync(${JSON.stringify(told)}, String(peak())));`,
    );
    const env = { ...process.env, NODE_OPTIONS: `--require=${preload}` };
    const { code, stderr } = await cornernet(['batch', file, '--hash-inputs', '--output', job], { env });
    assert.equal(code, 2, stderr);
    const { seen } = JSON.parse(readFileSync(join(job, 'list', '000000.jsonl'), 'utf8')) as { seen: { sha256: string } };
    const hash = createHash('sha256');
    for (let i = 0; i < megabytes; i++) hash.update(Buffer.alloc(2 ** 20));
    assert.equal(seen.sha256, hash.digest('hex'));
    assert.ok(Number(readFileSync(told, 'utf8')) < megabytes, readFileSync(told, 'utf8'));
  });

  it('goes on from another folder: relative paths are those of the folder that it was begun in', async () => {
    const [first = '', , third = ''] = copies(3);
    const names = [0, 1, 2].map((i) => join('pictures', `${i}.jpg`));
    writeFileSync(join(folder, 'list.txt'), names.map((name) => `${name}\n`).join(''));
    copyFileSync(join(root, 'weights', 'digits.pth'), join(folder, 'weights.pth'));
    const elsewhere = join(folder, 'elsewhere');
    mkdirSync(elsewhere);
    const from = (cwd: string, ...flags: string[]) => cornernet(['batch', '--output', job, '--progress', 'none', ...flags], { cwd });
    assert.equal((await from(folder, 'list.txt', '--weights', 'weights.pth')).code, 0);
    forget(2);
    copyFileSync(photos[7] as string, third); // which is noticed from there too
    const { code, stderr } = await from(elsewhere);
    assert.equal(code, 2, stderr);
    assertComplete(job, names, [names[2] as string]);
    assert.match(errorsOf(job)[0]?.error.message ?? '', /^pictures\/2\.jpg has changed since/);
    assert.equal((await from(elsewhere, '--retry-errors')).code, 0);
    assertComplete(job, names);
    const otherwise = await from(elsewhere, 'list.txt');
    assert.equal(otherwise.code, 1);
    assert.match(otherwise.stderr, /^ERR_JOB: .*the current folder was ".*" and is ".*elsewhere"/m);
    assert.equal((await from(elsewhere, '--verify')).code, 2); // of the third, which is no longer as it was listed
    copyFileSync(photos[7] as string, first);
    const verified = await from(elsewhere, '--verify', '--progress', 'json');
    assert.equal((JSON.parse(verified.stdout) as { changed: number }).changed, 2);
  });

  it('goes on where everything was moved to', async () => {
    const [tree, moved, names] = [join(folder, 'tree'), join(folder, 'moved'), ['0.jpg', '1.jpg']];
    copiesIn(tree, names);
    const from = (cwd: string, ...inputs: string[]) => cornernet(['batch', ...inputs, '--output', job, '--progress', 'none'], { cwd });
    assert.equal((await from(tree, ...names)).code, 0);
    forget(1);
    renameSync(tree, moved);
    const { code, stderr } = await from(moved);
    assert.equal(code, 0, stderr);
    assertComplete(job, names);
    assert.equal((await from(moved, ...names)).code, 0);
    copyFileSync(photos[7] as string, join(moved, '0.jpg'));
    assert.equal((await from(moved, '--verify')).code, 2); // of the first, which has changed
  });

  it('annotations that have two pictures as one are refused before anything is computed', async () => {
    copies(1);
    mkdirSync(join(folder, 'others'));
    copyFileSync(photos[1] as string, join(folder, 'others', '0.jpg'));
    const annotations = join(folder, 'annotations.json');
    writeFileSync(
      annotations,
      JSON.stringify({ images: [{ id: 7, file_name: '0.jpg' }], categories: [{ id: 1, name: 'a digit' }], annotations: [] }),
    );
    const { code, stderr } = await batch(
      join(folder, 'pictures'),
      join(folder, 'others'),
      '--format',
      'coco',
      '--annotations',
      annotations,
    );
    assert.equal(code, 1);
    assert.match(stderr, /^ERR_INPUT: .*pictures\/0\.jpg and .*others\/0\.jpg are one picture in .*: that with the id 7/m);
    assert.deepEqual(partsOf(job), []);
  });

  it('members of one name in a tar file keep their own records', async () => {
    const tar = pack();
    for (const photo of photos.slice(0, 3)) tar.entry({ name: 'same.jpg' }, readFileSync(photo));
    tar.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of tar) chunks.push(chunk as Buffer);
    const file = join(folder, 'some.tar');
    writeFileSync(file, Buffer.concat(chunks));
    assert.equal((await batch(file)).code, 0);
    const sizes = () => resultsOf(job).map(({ width, height, ...line }) => [(line as unknown as { position: number }).position, width, height]); // prettier-ignore
    const before = sizes();
    assert.equal(new Set(before.map(String)).size, 3);
    const [part] = partsOf(job) as [string];
    const [first, , ...rest] = readFileSync(part, 'utf8').split('\n');
    writeFileSync(part, [first, ...rest].join('\n'));
    assert.equal((await batch()).code, 0);
    assert.deepEqual(sizes().sort(), before.sort());
    writeFileSync(file, Buffer.concat([...chunks, Buffer.alloc(512)]));
    assert.equal((await batch('--verify')).code, 2);
  });
});
