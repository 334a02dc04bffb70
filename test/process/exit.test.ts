// However a process or a worker thread ends, and whatever runs then: no crash, no hang, nothing unhandled.
import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { root } from '../environment.js';
import { runScript, type Ended } from '../support/child.js';

function assertClean(ended: Ended, code = 0): void {
  assert.deepEqual({ code: ended.code, signal: ended.signal, stderr: ended.stderr }, { code, signal: null, stderr: '' });
}

describe('ends of processes', function () {
  this.timeout(120_000);

  it('a process ends by itself though a detector was never closed', async () => {
    const ended = await runScript(`
      const detector = await Detector.load();
      console.log((await detector.detect(picture())).width);
    `);
    assertClean(ended);
    assert.equal(ended.stdout, '120\n');
  });

  it('process.exit in mid-detect', async () => {
    assertClean(
      await runScript(`
        const detector = await Detector.load();
        for (let i = 0; i < 20; i++) detector.detect(picture(i, 500, 500));
        setTimeout(() => process.exit(7), 60);
      `),
      7,
    );
  });

  it('process.exit in mid-load', async () => {
    assertClean(
      await runScript(`
        Detector.load().catch(() => undefined);
        setImmediate(() => process.exit(3));
      `),
      3,
    );
  });

  it('no thread and no memory to be had: errors with a code, and the process works on', async () => {
    const own = mkdtempSync(join(tmpdir(), 'cornernet-exit-'));
    after(() => {
      rmSync(own, { recursive: true });
    });
    const ended = await runScript(`
      const { spawnSync } = require('node:child_process');
      const { readFileSync } = require('node:fs');
      const { readFile } = require('node:fs/promises');
      const { train } = require(${JSON.stringify(join(root, 'dist', 'train.js'))});
      const limit = (bytes) => {
        const { status, stderr, error } = spawnSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes + ':']);
        if (status !== 0) throw error ?? new Error(String(stderr));
      };
      const big = new Float32Array(2 ** 26);
      await cornernet.cornerPool(new Float32Array(1), [1, 1], 'top');
      const images = ${JSON.stringify(join(root, 'test', 'fixtures', 'digits', 'train'))};
      await Promise.all(Array.from({ length: 16 }, () => readFile('/proc/self/status'))); // the pool has its threads
      const used = 1024 * Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      const tell = ({ name, code, message }) => console.log(name, code, message);
      limit(used + 6 * 2 ** 20); // less than a thread's stack
      await Detector.load('digits', { device: 'cpu' }).catch(tell); // a GPU's driver would need room of its own first
      await cornernet.quantize({ images, output: ${JSON.stringify(join(own, 'int8.pth'))} }).catch(tell);
      await train({ images, annotations: images + '/annotations.json', output: ${JSON.stringify(join(own, 'run'))} }).catch(tell);
      await cornernet.cornerPool(big, [8192, 8192], 'top').catch(tell);
      limit('unlimited');
      const detector = await Detector.load();
      console.log((await detector.detect(picture())).width);
    `);
    assertClean(ended);
    assert.match(ended.stdout, /^(CornerNetError ERR_OUT_OF_MEMORY [^\n]+\n){4}120\n$/);
  });

  it('an exception in mid-detect is the only thing reported', async () => {
    const ended = await runScript(`
      const detector = await Detector.load();
      detector.detect(picture(0, 500, 500)).catch(() => undefined);
      throw new Error('of the user');
    `);
    assert.deepEqual([ended.code, ended.signal], [1, null]);
    assert.match(ended.stderr, /Error: of the user/);
  });

  it('worker threads terminated in mid-detect, many times', async () => {
    const ended = await runScript(`
      const { Worker, isMainThread } = require('node:worker_threads');
      const body = ${JSON.stringify(`
        const { parentPort, workerData } = require('node:worker_threads');
        const { Detector } = require(workerData);
        (async () => {
          const detector = await Detector.load('digits', { threads: 1 });
          parentPort.postMessage('loaded');
          const raw = { width: 300, height: 300, channels: 3, data: new Uint8Array(270000).fill(77) };
          for (;;) await Promise.all([detector.detect(raw), detector.detect(raw)]);
        })();
      `)};
      for (let round = 0; round < 30; round++) {
        const worker = new Worker(body, { eval: true, workerData: require.resolve(${JSON.stringify('./dist/index.js')}) });
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        await new Promise((resolve) => setTimeout(resolve, round));
        await worker.terminate();
      }
      console.log('alive');
    `);
    assertClean(ended);
    assert.equal(ended.stdout, 'alive\n');
  });

  it('several worker threads at once, each with detectors of its own', async () => {
    const ended = await runScript(`
      const { Worker } = require('node:worker_threads');
      const body = ${JSON.stringify(`
        const { parentPort, workerData } = require('node:worker_threads');
        const { Detector } = require(workerData);
        (async () => {
          const [a, b] = await Promise.all([Detector.load('digits', { threads: 1 }), Detector.load('digits', { threads: 1 })]);
          const raw = { width: 200, height: 150, channels: 3, data: new Uint8Array(90000).fill(99) };
          const results = await Promise.all([a.detect(raw), b.detect(raw)]);
          await Promise.all([a.close(), b.close()]);
          parentPort.postMessage(results.map(({ width }) => width).join());
        })();
      `)};
      const answers = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
        const worker = new Worker(body, { eval: true, workerData: require.resolve('./dist/index.js') });
        worker.once('message', resolve); worker.once('error', reject);
      })));
      console.log(answers.join(' '));
    `);
    assertClean(ended);
    assert.equal(ended.stdout, '200,200 200,200 200,200 200,200\n');
  });

  it('forgotten detectors are collected and give their memory back', async () => {
    const ended = await runScript(
      `
      const native = require('./build/Release/cornernet.node');
      const settled = [];
      const collected = new FinalizationRegistry((name) => settled.push(name));
      for (let i = 0; i < 5; i++) {
        const detector = await Detector.load();
        await detector.detect(picture(i));
        collected.register(detector, i);
      }
      for (let i = 0; i < 50 && settled.length < 4; i++) { await new Promise((resolve) => setTimeout(resolve, 20)); gc(); }
      console.log(settled.length >= 4);
    `,
      { flags: ['--expose-gc'] },
    );
    assertClean(ended);
    assert.equal(ended.stdout, 'true\n');
  });
});
