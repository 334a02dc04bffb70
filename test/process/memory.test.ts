// Memory stays on a plateau over thousands of pictures.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { Unavailable, orSkip, root } from '../environment.js';
import { runScript } from '../support/child.js';

/**
 * Detections beyond the five hundredth may add this much: the C library's arenas and V8's heap breathe by some tens of megabytes.
 * A leak of one 255x127 input (390 KB) a picture would add 580 MB.
 */
const breathingMegabytes = 60;

function prlimit(): Promise<void> {
  if (!spawnSync('prlimit', ['--version']).error) return Promise.resolve();
  return Promise.reject(new Unavailable("prlimit (of util-linux), which limits a process's memory, is not on the path"));
}

/** From the call on the process may take another half a gigabyte: more than what V8 may want meanwhile. */
const limitMemory = `
  function limitMemory(bytes = 512e6) { // the soft limit alone, which may be raised again
    const size = /VmSize:\\s+(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))[1];
    require('node:child_process').execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (1024 * Number(size) + bytes) + ':']);
  }
`;

describe('memory', function () {
  this.timeout(300_000);

  it('2,000 detections leave it where 500 left it', async () => {
    const { code, stdout, stderr } = await runScript(`
      const detector = await Detector.load('digits', { precision: 'fp32' });
      const megabytes = () => process.memoryUsage().rss / 1e6;
      // What comes and goes: the most of it early, the least of it late.
      let [early, late] = [0, Infinity];
      for (let i = 0; i < 2000; i++) {
        await detector.detect(picture(i, i % 2 ? 120 : 200, 100), { scoreThreshold: 0 });
        if (i >= 400 && i < 500) early = Math.max(early, megabytes());
        if (i >= 1900) late = Math.min(late, megabytes());
      }
      console.log(JSON.stringify({ grown: late - early, pictures: detector.stats.pictures }));
    `);
    assert.deepEqual([code, stderr], [0, '']);
    const { grown, pictures } = JSON.parse(stdout) as { grown: number; pictures: number };
    assert.equal(pictures, 2000);
    assert.ok(grown < breathingMegabytes, `memory grew by ${grown} MB`);
  });

  it('a call that the system refuses memory gets a code, and the detector works on', async function () {
    await orSkip(this, prlimit);
    const { code, stdout, stderr } = await runScript(`
      ${limitMemory}
      const large = picture(1, 6000, 4000);
      const detector = await Detector.load('digits', { device: 'cpu', precision: 'fp32', scoreThreshold: 0 });
      const before = (await detector.detect(picture())).detections.length;
      limitMemory(); // to less than this picture's forward
      const error = await detector.detect(large).catch((reason) => reason);
      const after = (await detector.detect(picture())).detections.length;
      console.log(JSON.stringify({ code: error.code, message: error.message, same: before === after }));
    `);
    assert.deepEqual([code, stderr], [0, '']);
    const outcome = JSON.parse(stdout) as { code: string; message: string; same: boolean };
    assert.deepEqual([outcome.code, outcome.same], ['ERR_OUT_OF_MEMORY', true], outcome.message);
  });

  it('what finds no room for its threads or its data gets a code, and the process lives on', async function () {
    await orSkip(this, prlimit);
    const { code, stdout, stderr } = await runScript(`
      ${limitMemory}
      const native = require(${JSON.stringify(join(root, 'build', 'Release', 'cornernet.node'))});
      const detector = await Detector.load('digits', { device: 'cpu', precision: 'fp32', threads: 2 });
      const data = new Float32Array(60_000_000);
      const codeOf = async (work) => { try { await work(); return 'none'; } catch (error) { return error.code; } };
      limitMemory(6e6); // less than one thread's stack
      const codes = [await codeOf(() => new native.Detector())];
      limitMemory(200e6); // 1,000 threads have stacks of 8 GB
      codes.push(
        await codeOf(() => cornernet.cornerPool(data, [6_000, 10_000], 'top')),
        await codeOf(() => Detector.load('digits', { device: 'cpu', threads: 1000 })),
      );
      limitMemory();
      const { detections } = await detector.detect(picture(), { scoreThreshold: 0 });
      console.log(JSON.stringify({ codes, found: detections.length > 0 }));
    `);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(JSON.parse(stdout), { codes: Array(3).fill('ERR_OUT_OF_MEMORY'), found: true });
  });

  it('a batch that memory does not hold is split into forwards that it holds', async function () {
    await orSkip(this, prlimit);
    // On a busy machine glibc makes arenas for threads that wait for each other, each 64 MB of what is limited: hardly a picture found room.
    const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
    const { code, stdout, stderr } = await runScript(
      `
      ${limitMemory}
      const detector = await Detector.load('digits', { precision: 'fp32', scoreThreshold: 0, flip: false, batchSize: 24 });
      const one = await detector.detect(picture(1, 1000, 800));
      limitMemory(); // 24 such forwards at a time take a gigabyte
      const many = await detector.detect(Array.from({ length: 24 }, () => picture(1, 1000, 800)));
      const same = many.filter(({ detections }) => detections.length === one.detections.length).length;
      console.log(JSON.stringify({ same, forwards: detector.stats.forwards }));
    `,
      { env },
    );
    assert.deepEqual([code, stderr], [0, '']);
    const { same, forwards } = JSON.parse(stdout) as { same: number; forwards: number };
    assert.equal(same, 24);
    // The first picture's, the one that failed and at least two for what it was split into; one by one would be 25.
    assert.ok(forwards >= 4 && forwards < 25, `${forwards} forwards`);
  });
});
