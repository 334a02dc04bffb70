// The processes under a job: whatever one dies of or hangs in, the job goes on, and none outlives it.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { orSkip, root, skipUnlessAllowed } from '../environment.js';
import { cornernet, heard, inChildren, pressTwice, startCornernet } from '../support/child.js';
import { withFaults } from '../support/faults.js';
import { RedisServer } from '../support/redis.js';
import { assertComplete, childrenOf, copiesIn, errorsOf, hasOpen, photos, resultsOf, until, writeList } from '../support/batch.js';
import { eachInAFolder } from '../support/scratch.js';

describe('processes under a job', function () {
  this.timeout(300_000);
  let folder: string;
  let job: string;
  eachInAFolder('children', (made) => {
    folder = made;
    job = join(folder, 'job');
  });

  const preloaded = (body: string): NodeJS.ProcessEnv => inChildren(join(folder, 'preload.cjs'), body);

  const copies = (names: readonly string[]): string[] => copiesIn(join(folder, 'pictures'), names);

  const gone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

  for (const [death, how] of [
    ['process.abort()', 'SIGABRT'],
    ["process.kill(process.pid, 'SIGKILL')", 'SIGKILL'], // as the kernel does when memory runs out
  ] as const) {
    it(`a picture that its process dies of (${how}) twice alone is recorded, the others are computed`, async () => {
      const paths = copies(['a.jpg', 'b.jpg', 'poison.jpg', 'd.jpg', 'e.jpg']);
      const env = preloaded(`process.on('message', ({ entry }) => { if (/poison/.test(entry?.path)) ${death}; });`);
      const { code, stderr } = await startCornernet(['batch', join(folder, 'pictures'), '--output', job], env).ended;
      assert.equal(code, 2, stderr);
      assertComplete(job, paths, [join(folder, 'pictures', 'poison.jpg')]);
      assert.match(errorsOf(job)[0]?.error.code ?? '', how === 'SIGABRT' ? /^ERR_CRASHED$/ : /^ERR_(CRASHED|OUT_OF_MEMORY)$/);
      assert.match(errorsOf(job)[0]?.error.message ?? '', new RegExp(`the detector's process died of it 2 times \\(${how}`));
      assert.match(stderr, new RegExp(`died \\(${how}.*\\) with 5 pictures in hand`));
    });
  }

  it('one kill counts against no picture, in hand alone or among others', async () => {
    const [path = ''] = photos;
    const here = join(folder, 'here');
    const counter = join(folder, 'started');
    for (const inputs of [[path], photos.slice(0, 6)]) {
      const env = preloaded(`
        fs.appendFileSync(${JSON.stringify(counter)}, 'x');
        const wait = fs.statSync(${JSON.stringify(counter)}).size === 1;
        process.on('message', ({ type }) => { if (wait && type === 'detect') { fs.writeFileSync(${JSON.stringify(here)}, ''); for (;;); } });`);
      const { child, ended } = startCornernet(['batch', ...inputs, '--output', job], env);
      await until(() => existsSync(here), 'a picture in hand');
      process.kill(childrenOf(child.pid as number)[0] as number, 'SIGKILL');
      const { code, stderr } = await ended;
      assert.equal(code, 0, stderr);
      assertComplete(job, inputs);
      for (const used of [here, counter, job]) rmSync(used, { recursive: true });
    }
  });

  it('a batch that is given up before its job was begun does not say how to go on', async () => {
    const env = preloaded('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
    const { child, ended } = startCornernet(['batch', photos[0] as string, '--output', job], env);
    await until(() => childrenOf(child.pid as number).length > 0, 'a start');
    await pressTwice(child);
    const { code, stderr } = await ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /given up at once, and no job was begun$/m);
  });

  it('one that dies whenever it starts is not started for ever', async () => {
    const counter = join(folder, 'started');
    const env = preloaded(`
      fs.appendFileSync(${JSON.stringify(counter)}, 'x');
      process.on('message', () => process.kill(process.pid, 'SIGKILL'));`);
    const { code, stderr } = await startCornernet(['batch', photos[0] as string, '--output', job], env).ended;
    assert.equal(code, 1);
    assert.match(stderr, /^ERR_(CRASHED|OUT_OF_MEMORY): the detector's process dies whenever it starts \(SIGKILL/m);
    assert.equal(Number(spawnSync('stat', ['-c', '%s', counter]).stdout), 3);
  });

  it('one that the system refuses to start is given up with the reason', () => {
    const body = `
      const childProcess = require('node:child_process');
      const { closeSync, openSync } = require('node:fs');
      const { DetectorProcess } = require(${JSON.stringify(join(root, 'lib', 'jobs', 'detector-process.ts'))});
      async function attempt() {
        const said = [];
        const refused = new DetectorProcess((message) => said.push(message.message));
        refused.send({ type: 'load' });
        const { how } = await refused.ended;
        await refused.kill();
        return [...said, how];
      }
      async function run() {
        const all = [];
        try { for (;;) all.push(openSync('/dev/null')); } catch {}
        const files = await attempt();
        all.forEach(closeSync);
        childProcess.fork = () => { throw new Error('spawn ENOMEM'); }; // as it does by itself for every other error of the system's
        console.log(JSON.stringify([files, await attempt()]));
      }
      void run();`;
    const few = ['-c', 'ulimit -n 100 && exec "$@"', 'sh'];
    const { stdout, stderr } = spawnSync('sh', [...few, process.execPath, '--import', 'tsx', '-e', body], { cwd: root, encoding: 'utf8' });
    const [files = [], memory] = JSON.parse(stdout || '[]') as string[][];
    assert.match(files.join('\n'), /^the detector's process can't be started: .*EMFILE.*\n.*EMFILE/, stderr);
    assert.deepEqual(memory, ["the detector's process can't be started: spawn ENOMEM", 'spawn ENOMEM'], stderr);
  });

  it('a device that fails late in a job ends its process at once; another one goes on', async () => {
    const addon = join(folder, 'addon.cjs');
    // The real addon, whose fourth forward meets the error that it gives itself for a device that isn't there.
    writeFileSync(
      addon,
      `const fs = require('node:fs');
       const real = require(${JSON.stringify(join(root, 'build', 'Release', 'cornernet.node'))});
       const failed = ${JSON.stringify(join(folder, 'failed'))};
       let calls = 0;
       class Detector extends real.Detector {
         async detect(...request) {
           if (++calls < 4 || fs.existsSync(failed)) return super.detect(...request);
           fs.writeFileSync(failed, '');
           await real.cornerPool(new Float32Array(1), [1, 1], 'top', 'cuda:999');
         }
       }
       module.exports = Object.create(real, { Detector: { value: Detector } });`,
    );
    const inputs = photos.slice(0, 12);
    const args = ['batch', ...inputs, '--output', job, '--threads', '1'];
    const { code, stderr } = await startCornernet(args, { ...process.env, CORNERNET_ADDON: addon }).ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the detector's process died \(ERR_DEVICE: .*\) with \d+ pictures in hand/);
    assertComplete(job, inputs);
  });

  it('none outlives a killed batch, not even with a blocked thread; signals end both', async () => {
    const fifo = join(folder, 'fifo');
    spawnSync('mkfifo', [fifo]);
    // A thread of the pool waits in the kernel: an orderly end would wait for it.
    const env = preloaded(`fs.open(${JSON.stringify(fifo)}, () => undefined);`);
    const inputs = Array<string[]>(50).fill(photos).flat();
    const list = writeList(join(folder, 'list.txt'), inputs);
    for (const signals of [['SIGKILL'], ['SIGINT'], ['SIGTERM', 'SIGTERM']] as const) {
      const here = join(folder, signals.join());
      const { child, ended } = startCornernet(['batch', list, '--output', here], env);
      await until(() => resultsOf(here).length > 0, 'the first result');
      const [below = 0] = childrenOf(child.pid as number);
      if (signals.length === 2) await pressTwice(child, signals[0]);
      else child.kill(signals[0]);
      const { code, signal, stderr } = await ended;
      // By the second signal itself where all was finished by then.
      assert.ok(signals[0] === 'SIGKILL' ? signal === 'SIGKILL' : code === 130 || signal === signals[1], `${code} ${signal} ${stderr}`);
      await until(() => gone(below), 'the end of the process below', 20);
    }
  });

  /** Pictures of which some lie on a mount that hangs: reading them takes ten minutes. */
  async function hanging(context: Mocha.Context, process: string): Promise<{ paths: string[]; hung: string[]; env: NodeJS.ProcessEnv }> {
    const paths = copies(['a.jpg', 'hung1.jpg', 'hung2.jpg', 'hung3.jpg', 'hung4.jpg', 'hung5.jpg', 'z.jpg']);
    const env = await orSkip(context, () => withFaults({ rules: ['read:slow=600000'], path: 'pictures/hung', process }));
    return { paths, hung: paths.filter((path) => path.includes('hung')), env };
  }

  it('a mount that hangs costs its pictures; the others are computed', async function () {
    const { paths, hung, env } = await hanging(this, 'child.js');
    // With 4 threads all are read at once: which pictures hang, and which wait for a thread behind them, is found out.
    const { code, stderr } = await startCornernet(['batch', ...paths, '--output', job, '--timeout', '3', '--threads', '4'], env).ended;
    assert.equal(code, 2, stderr);
    assertComplete(job, paths, hung);
    for (const { error } of errorsOf(job)) {
      assert.equal(error.code, 'ERR_INPUT');
      assert.match(error.message, /hung\d\.jpg takes longer than the 3 s that timeout allows/);
    }
    assert.match(stderr, /a read or a decoder hangs in the detector's process: another one goes on/);

    // In its own process nothing can end the threads: it ends by a signal when all is written.
    const here = { ...env, FAULTS_PROCESS: 'cli.js' };
    const few = [paths[0], ...hung.slice(0, 2), paths.at(-1)] as string[];
    const detect = await cornernet(['detect', ...few, '--timeout', '3'], { env: here });
    assert.equal(detect.signal, 'SIGINT', detect.stderr);
    const images = detect.stdout.trim().split('\n').map((line) => JSON.parse(line) as { error?: { code: string } }); // prettier-ignore
    assert.deepEqual(images.map(({ error }) => error?.code), [undefined, 'ERR_INPUT', 'ERR_INPUT', undefined]); // prettier-ignore
  });

  it('a picture whose file system hangs when it is only looked at costs that picture', async () => {
    const paths = copies(['a.jpg', 'hung.jpg', 'y.jpg', 'z.jpg']);
    const [asked, preload] = [join(folder, 'asked'), join(folder, 'hang.cjs')];
    // From when the list is frozen on. The batch's own process must not ask at all: its threads write the records.
    writeFileSync(
      preload,
      `const fs = require('node:fs');
       const { stat } = fs.promises;
       fs.promises.stat = (path, ...others) => {
         if (!/hung/.test(path) || !fs.existsSync(${JSON.stringify(join(job, 'job.json'))})) return stat(path, ...others);
         if (!process.send) fs.writeFileSync(${JSON.stringify(asked)}, '');
         return new Promise(() => undefined);
       };`,
    );
    const args = ['batch', join(folder, 'pictures'), '--output', job, '--timeout', '3', '--metrics', '0'];
    const { child, ended } = startCornernet(args, { ...process.env, NODE_OPTIONS: `--require=${preload}` });
    const killer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    const { code, stderr } = await ended;
    clearTimeout(killer);
    assert.equal(code, 2, stderr);
    assertComplete(job, paths, [paths[1] as string]);
    assert.match(errorsOf(job)[0]?.error.message ?? '', /hung\.jpg takes longer than the 3 s that timeout allows/);
    assert.ok(!existsSync(asked));
  });

  it("a read that hangs keeps no container's first process either", async function () {
    const apart = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
    skipUnlessAllowed(this, apart, 'name spaces of its own are not allowed to this user (unshare --pid)');
    const { paths, hung, env } = await hanging(this, 'cli.js');
    const { child, ended } = startCornernet(['detect', paths[0] as string, hung[0] as string, '--timeout', '1'], env, apart);
    const said = heard(child);
    await until(() => said().includes('the process is ended by a signal'), 'the last word');
    const [first = 0] = childrenOf(child.pid as number);
    await until(() => gone(first), 'its end', 10);
    assert.notEqual((await ended).code, 0);
  });

  it('a read that hangs without a deadline ends with the signals', async function () {
    const { paths, hung, env } = await hanging(this, '.js');
    const start = { detect: ['detect', ...hung], batch: ['batch', ...paths.slice(0, 3), '--output', job] };
    for (const args of Object.values(start)) {
      const { child, ended } = startCornernet([...args, '--timeout', '0'], env);
      const hangs = args[0] === 'batch' ? () => resultsOf(job).length > 0 : () => hasOpen(child.pid as number, hung);
      await until(hangs, 'a read that hangs');
      const below = childrenOf(child.pid as number);
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
        child.kill(signal);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      const { code, signal, stderr } = await ended;
      assert.ok(code === 130 || signal !== null, `${code} ${signal}: ${stderr}`);
      await until(() => below.every(gone), 'the end of the process below', 20);
    }
  });

  it('a worker whose read hangs ends with the signals', async function () {
    const { hung, env } = await hanging(this, 'child.js');
    const redis = await RedisServer.start(this, folder);
    try {
      const shared = ['--queue', redis.url, '--root', folder];
      const batch = startCornernet(['batch', ...hung, '--output', job, ...shared]);
      const worker = startCornernet(['worker', ...shared, '--timeout', '0'], env);
      await until(() => childrenOf(worker.child.pid as number).some((pid) => hasOpen(pid, hung)), 'a read that hangs');
      const below = childrenOf(worker.child.pid as number);
      await pressTwice(worker.child, 'SIGTERM');
      const { code, stderr } = await worker.ended;
      assert.equal(code, 0, stderr);
      await until(() => below.every(gone), 'the end of the process below', 20);
      batch.child.kill('SIGKILL');
      await batch.ended;
    } finally {
      await redis.down('SIGKILL');
    }
  });

  it("a mount that hangs a worker's own look at a picture costs that picture; where it costs all threads, others take the chunk", async function () {
    const fifo = join(folder, 'fifo');
    spawnSync('mkfifo', [fifo]);
    const preload = join(folder, 'preload.cjs');
    writeFileSync(
      preload,
      `const { promises } = require('node:fs');
       const { open, realpath } = promises;
       if (!process.send) promises.realpath = (path, how) => (/hung/.test(path) ? open(${JSON.stringify(fifo)}) : realpath(path, how));`,
    );
    const paths = copies(['a.jpg', 'hung1.jpg', 'hung2.jpg', 'hung3.jpg', 'hung4.jpg', 'hung5.jpg', 'z.jpg']);
    const redis = await RedisServer.start(this, folder);
    const shared = ['--queue', redis.url, '--root', folder];
    try {
      const worker = startCornernet(['worker', ...shared, '--timeout', '3'], { ...process.env, NODE_OPTIONS: `--require=${preload}` });
      const said = heard(worker.child);
      const [a = '', hung = ''] = paths;
      const { code, stderr } = await cornernet(['batch', a, hung, '--output', job, ...shared]);
      assert.equal(code, 2, stderr);
      assertComplete(job, [a, hung], [hung]);
      assert.match(errorsOf(job)[0]?.error.message ?? '', /^pictures\/hung1\.jpg takes longer than the 3 s that timeout allows$/);

      const all = join(folder, 'all');
      const batch = startCornernet(['batch', ...paths, '--output', all, ...shared]);
      await until(() => /given back: .*every thread that reads and decodes hangs/.test(said()), 'the chunk comes back');
      const other = startCornernet(['worker', ...shared]);
      const ended = await batch.ended;
      assert.equal(ended.code, 0, ended.stderr);
      assertComplete(all, paths);

      worker.child.kill('SIGTERM');
      assert.equal((await worker.ended).signal, 'SIGINT'); // by itself, since the threads are never back
      other.child.kill('SIGTERM');
      assert.equal((await other.ended).code, 0);
    } finally {
      await redis.down('SIGKILL');
    }
  });
});
