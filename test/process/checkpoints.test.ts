// Hostile and damaged checkpoints in a process of their own: refused in little memory, noticed when they change, and never an empty result.
import { strict as assert } from 'node:assert';
import { appendFileSync, copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { resolveWeights } from '../../lib/weights/weights.js';
import { fixtures, orSkip, root, skipUnlessCpuComputes } from '../environment.js';
import { checkpointOf, dictionary, mendChecksum, recordsOf, storage, tensor, unicode, zipOf } from '../support/checkpoint-file.js';
import { cornernet, runScript } from '../support/child.js';
import { withFaults } from '../support/faults.js';
import { eachInAFolder } from '../support/scratch.js';
import { writeSmallAnnotations } from '../support/small-training.js';

const training = join(fixtures, 'mmengine_training.pth');
const small = tensor();
const times = (count: number, bytes: Buffer | string): Buffer => Buffer.alloc(count * bytes.length, bytes);
const opcodes = (...parts: (Buffer | string | number)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part as string))));
const named = (keys: readonly string[]): Buffer => dictionary(keys.map((key) => [key, small]));
const upTo = (count: number): number[] => [...Array(count).keys()];

/** Each would take a multiple of its size, or much time, were it believed. */
const bombs: Record<string, () => Buffer> = {
  'one key of 200,000 dots': () => checkpointOf(named(['a.'.repeat(200_000)]), [storage()]),
  'a class name recalled a million times': () =>
    checkpointOf(
      opcodes('}', unicode('meta'), '}', unicode('CLASSES'), '](', unicode('n'.repeat(3000)), 'q\x01', times(1_000_000, 'h\x01'), 'ess'),
    ),
  '64 stacks of 256 blocks each': () => {
    const backbone = (stack: number, depth: number): string => `backbone.hourglass_modules.${stack}.${'low2.'.repeat(depth)}`;
    const blocks = upTo(16).flatMap((depth) => upTo(256).map((block) => `${backbone(0, depth)}${depth < 15 ? 'up1.' : ''}${block}.conv1`));
    const others = ['backbone.stem.0.conv', 'backbone.out_convs.0.conv', 'bbox_head.tl_pool.0.direction1_conv.conv'];
    const heads = ['tl_heat.0.0', 'tl_heat.0.1', 'tl_emb.0.1'].map((head) => `bbox_head.${head}.conv`);
    const convs = [...blocks, ...others, ...heads, ...upTo(64).map((stack) => `${backbone(stack, 0)}x`)];
    return checkpointOf(dictionary(convs.map((conv) => [`${conv}.weight`, tensor(1, '0', 4)])), [storage()]);
  },
  '50 MB of MEMOIZE': () => checkpointOf(opcodes('N', times(50_000_000, Buffer.from([0x94])))),
  'two million times one tensor': () =>
    checkpointOf(opcodes('}(', small, 'q\x01', unicode('t'), 'q\x02', times(2_000_000, 'h\x02h\x01'), 'u'), [storage()]),
  '20 MB of empty tuples': () => checkpointOf(times(20_000_000, ')')),
  '20 MB of marks': () => checkpointOf(times(20_000_000, '(')),
  '20 MB of copies on the stack': () => checkpointOf(opcodes('N', times(20_000_000, '2'))),
  '20 MB of tuples in tuples': () => checkpointOf(opcodes('N', times(20_000_000, Buffer.from([0x85])))),
  '20 MB of lists that are appended to': () => checkpointOf(opcodes(']', times(10_000_000, 'Na'))),
  '20 MB of pushing and popping': () => checkpointOf(times(10_000_000, 'N0')),
  'a storage key of a million letters, recalled 20,000 times': () => {
    const reference = opcodes('ctorch\nFloatStorage\n', unicode('k'.repeat(1_000_000)), unicode('cpu'), 'K\x01');
    return checkpointOf(opcodes('}(', unicode('t'), 'ctorch._utils\n_rebuild_tensor_v2\n((', unicode('storage'), reference, 'tQK\0))tRu'));
  },
  'a class whose name has ten million letters': () => checkpointOf(dictionary([['t', opcodes('c', times(10_000_000, 'n'), '\nn\n)R')]])),
  'a number of 4 GB': () => checkpointOf(opcodes(0x8b, 0xff, 0xff, 0xff, 0xff)),
  'storages that lie in each other': () =>
    checkpointOf(
      dictionary(upTo(200).map((i) => [`t${i}`, tensor(250_000, String(i))])),
      upTo(200).map((i) => ({ ...storage(250_000, String(i)), ...(i > 0 && { within: 'a/data/0' }) })),
    ),
  'a configuration that wants a thousand million corners': () => {
    const file = readFileSync(training);
    const at = file.indexOf('corner_topk=100');
    file.write('corner_topk=1e9', at);
    mendChecksum(file, at);
    return file;
  },
};

function recordOf(checkpoint: Buffer, name: string): ReturnType<typeof recordsOf>[0] {
  const record = recordsOf(checkpoint).find((candidate) => candidate.name === name);
  assert.ok(record);
  return record;
}

/** Of the state dict's tensor of this name. */
function storageKey(checkpoint: Buffer, name: string): string {
  const behind = checkpoint.toString('latin1', checkpoint.indexOf(name));
  return (/X.\0\0\0(\d+)/s.exec(behind.slice(name.length)) ?? [])[1] ?? '';
}

/** Loads the file in a process that has loaded another before, and tells what its memory peaked at above that. */
const loadWatched = (file: string): string => `
  const { readFileSync, writeFileSync } = require('node:fs');
  const peak = () => 1024 * Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  await (await Detector.load('digits', { device: 'cpu', precision: 'fp32' })).close();
  writeFileSync('/proc/self/clear_refs', '5'); // the peak begins anew
  const before = peak();
  const error = await Detector.load(${JSON.stringify(file)}, { device: 'cpu', precision: 'fp32' }).catch((reason) => reason);
  console.log(JSON.stringify({ code: error.code, message: error.message, grown: peak() - before }));
`;

describe('A checkpoint', function () {
  this.timeout(300_000);
  let folder: string;
  let file: string;
  eachInAFolder('checkpoints', (made) => {
    folder = made;
    file = join(folder, 'weights.pth');
  });

  for (const [name, make] of Object.entries(bombs)) {
    it(`that stands for far more than it is, is refused in 1.3 times its size and 64 MB: ${name}`, async () => {
      const bytes = make();
      writeFileSync(file, bytes);
      const { code, stdout, stderr } = await runScript(loadWatched(file));
      assert.deepEqual([code, stderr], [0, '']);
      const outcome = JSON.parse(stdout) as { code: string; message: string; grown: number };
      assert.equal(outcome.code, 'ERR_CHECKPOINT', outcome.message);
      assert.ok(outcome.message.length < 2000, `a sentence of ${outcome.message.length} characters`);
      assert.ok(outcome.grown <= 1.3 * bytes.length + 64e6, `${outcome.grown} bytes for a file of ${bytes.length}`);
    });
  }

  it('whose configuration is out of bounds is no beginning of a training either', async () => {
    writeFileSync(file, (bombs['a configuration that wants a thousand million corners'] as () => Buffer)());
    const data = ['--images', join(fixtures, 'training'), '--annotations', await writeSmallAnnotations(folder)];
    const { code, stderr } = await cornernet(['train', ...data, '--output', join(folder, 'run'), '--from', file]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^ERR_CHECKPOINT: the configuration text in the checkpoint .*: cornerTopk must be 1 to 10000, not 1000000000$/m);
  });

  it('whose pickle has more than 256 MB is refused before that is read, in both containers', async () => {
    const hole = 2 ** 28 + 1; // in the file, where the pickle's bytes would be
    const zip = zipOf([{ name: 'a/data.pkl', bytes: Buffer.alloc(0) }]);
    const directory = zip.indexOf('PK\x01\x02');
    for (const size of [directory + 20, directory + 24]) zip.writeUInt32LE(hole, size);
    zip.writeUInt32LE(directory + hole, zip.length - 6);
    const older = opcodes(0x80, 2, 'X', 1, 0, 0, 16); // a string of so many letters
    for (const [bytes, before, sentence] of [
      [zip, directory, 'its data.pkl has'],
      [older, older.length, 'its pickles have'],
    ] as const) {
      writeFileSync(file, bytes.subarray(0, before));
      truncateSync(file, before + hole);
      appendFileSync(file, bytes.subarray(before));
      const { code, stdout, stderr } = await runScript(loadWatched(file));
      assert.deepEqual([code, stderr], [0, '']);
      const outcome = JSON.parse(stdout) as { code: string; message: string; grown: number };
      assert.equal(outcome.code, 'ERR_CHECKPOINT');
      assert.ok(outcome.message.endsWith(`${sentence} more than 268435456 bytes`), outcome.message);
      assert.ok(outcome.grown <= 64e6, `${outcome.grown} bytes`);
    }
  });

  it('may be cut off and overwritten once it is loaded: nothing of it is looked at again', async () => {
    for (const source of [resolveWeights('digits').path, training]) {
      copyFileSync(source, file);
      const { code, stdout, stderr } = await runScript(`
        const { openSync, truncateSync, writeFileSync } = require('node:fs');
        const file = ${JSON.stringify(file)};
        const detector = await Detector.load(file, { device: 'cpu', precision: 'fp32', scoreThreshold: 0 });
        const held = require('node:fs').readdirSync('/proc/self/fd').filter((fd) => {
          try { return require('node:fs').readlinkSync('/proc/self/fd/' + fd) === file; } catch { return false; }
        });
        const mapped = require('node:fs').readFileSync('/proc/self/maps', 'utf8').includes(file);
        writeFileSync(file, Buffer.alloc(${readFileSync(source).length}, 0x55));
        const first = await detector.detect(picture());
        truncateSync(file, 0);
        const second = await detector.detect(picture());
        const other = await Detector.load(${JSON.stringify(source)}, { device: 'cpu', precision: 'fp32', scoreThreshold: 0 });
        const whole = await other.detect(picture());
        console.log(JSON.stringify({ held: held.length, mapped, same: [first, second].map((r) => JSON.stringify(r) === JSON.stringify(whole)), found: whole.detections.length }));
      `);
      assert.deepEqual([code, stderr], [0, '']);
      const { found, ...outcome } = JSON.parse(stdout) as { found: number };
      assert.deepEqual(outcome, { held: 0, mapped: false, same: [true, true] });
      assert.ok(found > 0);
    }
  });

  it('that the disk cuts short, or fails to read, is refused', async function () {
    copyFileSync(training, file);
    for (const rule of ['read:EIO:1', 'read:EIO:200']) {
      const env = await orSkip(this, () => withFaults({ path: 'weights.pth', rules: [rule] }));
      const { stdout, stderr } = await runScript(loadWatched(file), { env });
      assert.match(
        stdout,
        /"code":"ERR_CHECKPOINT","message":"the checkpoint .*weights\.pth: it can't be read: Input\/output error"/,
        stderr,
      );
    }
    const env = await orSkip(this, () => withFaults({ path: 'weights.pth', rules: ['read:short'] }));
    assert.doesNotMatch((await runScript(loadWatched(file), { env })).stdout, /"code"/); // short reads are gone on with
  });

  /** For scripts: `file`, and `until(open)`, which waits until they have it open, or have it no more. */
  const watching = (): string => `
      const { readdirSync, readlinkSync } = require('node:fs');
      const file = ${JSON.stringify(file)};
      const linkOf = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } };
      const until = async (open) => {
        while (readdirSync('/proc/self/fd').some((fd) => linkOf(fd) === file) !== open) await new Promise((resolve) => setTimeout(resolve, 10));
      };`;

  it('that is cut off or overwritten while it is read is refused', async function () {
    for (const [change, sentence] of [
      ['truncateSync(file, 300_000)', /cut off while it was read|changed while it was read/],
      ['writeSync(openSync(file, "r+"), Buffer.alloc(64), 0, 64, 400_000)', /changed while it was read|checksum/],
    ] as const) {
      copyFileSync(training, file);
      const env = await orSkip(this, () => withFaults({ path: 'weights.pth', rules: ['read:slow=3'] }));
      const { stdout, stderr } = await runScript(
        `
        const { openSync, truncateSync, writeSync } = require('node:fs');
        ${watching()}
        const loading = Detector.load(file, { device: 'cpu', precision: 'fp32' }).catch((reason) => reason);
        await until(true);
        setTimeout(() => ${change}, 100);
        const { code, message } = await loading;
        console.log(code, message);
      `,
        { env },
      );
      assert.match(stdout, /^ERR_CHECKPOINT /, stderr);
      assert.match(stdout, sentence);
    }
  });

  it('is read no further once its detector is closed or its load is aborted', async function () {
    copyFileSync(training, file);
    const env = await orSkip(this, () => withFaults({ path: 'weights.pth', rules: ['read:slow=1000'] })); // some ten minutes for all of it
    const { code, stdout, stderr } = await runScript(
      `
      const native = require(${JSON.stringify(join(root, 'build', 'Release', 'cornernet.node'))});
      ${watching()}
      const detector = new native.Detector();
      const loading = detector.load({ path: file, device: 'cpu', precision: 'fp32' }).catch((error) => error.code);
      await until(true);
      await detector.close();
      const closed = await loading;
      await until(false);

      const [aborter, reason] = [new AbortController(), new Error('enough')];
      const aborted = Detector.load(file, { device: 'cpu', signal: aborter.signal }).catch((error) => error === reason);
      await until(true);
      aborter.abort(reason);
      const toldWhy = await aborted;
      await until(false);
      await (await Detector.load('digits', { device: 'cpu' })).close();
      console.log(closed, toldWhy);
    `,
      { env },
    );
    assert.deepEqual([code, stdout, stderr], [0, 'ERR_CLOSED true\n', '']);
  });

  it('with weights that are not finite is refused, and they are named', async () => {
    const damaged = readFileSync(training);
    const { first } = recordOf(damaged, 'archive/data/0');
    // The second is what one wrong bit makes of 0.979, with which nothing would be found, and no reason told.
    for (const number of [NaN, 3.3317052253510444e38, -(2 ** 48)]) {
      damaged.writeFloatLE(number, first + 8);
      mendChecksum(damaged, first);
      writeFileSync(file, damaged);
      const { stdout } = await runScript(loadWatched(file));
      assert.match(stdout, /"ERR_CHECKPOINT".*weights\.pth: [a-z_.0-9]+ holds numbers that are not finite, or 2\^48 and more/);
    }
  });

  for (const [precision, advice] of [
    ['fp32', /weights are damaged/],
    ['bf16', /precision 'fp32'/],
  ] as const) {
    it(`whose network overflows gives an error for each such picture, never an empty result, and one warning, in ${precision}`, async function () {
      if (precision === 'bf16') skipUnlessCpuComputes(this, precision);
      const huge = readFileSync(training);
      // Each as large as a weight may be: only their product is more than fp32 holds, in the last convolution, behind which no ReLU is.
      for (const [layer, times] of [
        ['tl_pool.1.conv2', 1e6],
        ['tl_heat.1.0', 1e14],
        ['tl_heat.1.1', 1e14],
      ] as const) {
        // prettier-ignore
        const { first, size } = recordOf(huge, `archive/data/${storageKey(huge, `bbox_head.${layer}.conv.weight`)}`);
        for (let at = first; at < first + size; at += 4) huge.writeFloatLE(huge.readFloatLE(at) * times, at);
        mendChecksum(huge, first);
      }
      writeFileSync(file, huge);
      const { code, stdout, stderr } = await runScript(`
        const options = { device: 'cpu', batchSize: 4, mean: [0, 0, 0], std: [1e-6, 1e-6, 1e-6], scoreThreshold: 0 };
        const detector = await Detector.load(${JSON.stringify(file)}, { ...options, precision: '${precision}' });
        const [black, white] = [0, 255].map((value) => ({ ...picture(), data: picture().data.fill(value) }));
        const found = [];
        for await (const { error, detections } of detector.detectAll([black, white, black, white])) found.push(error ? error.code : Array.isArray(detections));
        const single = await detector.detect([black, white], { tiles: { size: 64 } }).catch(({ code, message }) => code + ' ' + message);
        console.log(JSON.stringify({ found, single, warnings: detector.stats.warnings }));
      `);
      assert.deepEqual([code, stderr], [0, '']);
      const { found, single, warnings } = JSON.parse(stdout) as { found: unknown[]; single: string; warnings: string[] };
      assert.deepEqual(found, [true, 'ERR_CHECKPOINT', true, 'ERR_CHECKPOINT']);
      assert.match(single, /^ERR_CHECKPOINT .*not finite/);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] as string, advice);
    });
  }

  it('with a flipped bit in what is read of it is refused by its checksum', async () => {
    const whole = readFileSync(training);
    const records = recordsOf(whole).filter(({ name, size }) => /data\/\d{1,2}$|data\.pkl/.test(name) && size > 8); // all that counts in the first layers
    const script = `
      const tried = [];
      for (const file of ${JSON.stringify(upTo(12).map((i) => join(folder, `${i}.pth`)))})
        tried.push(await Detector.load(file, { device: 'cpu', precision: 'fp32' }).then(() => 'loaded', ({ code, message }) => code + ' ' + /checksum/.test(message)));
      console.log(JSON.stringify(tried));
    `;
    for (const i of upTo(12)) {
      const record = records[Math.floor((i * (records.length - 1)) / 11)] as (typeof records)[0];
      const damaged = Buffer.from(whole);
      const at = record.first + Math.floor((record.size - 1) / 2);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
      writeFileSync(join(folder, `${i}.pth`), damaged);
    }
    const { stdout, stderr } = await runScript(script);
    assert.deepEqual(JSON.parse(stdout), Array(12).fill('ERR_CHECKPOINT true'), stderr);
  });
});
