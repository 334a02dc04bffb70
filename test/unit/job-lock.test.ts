// The lock of a job's folder: one owner at a time, whatever the machines' names, clocks and name spaces say.
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { root, skipUnlessAllowed } from '../environment.js';
import { FolderLock } from '../../lib/jobs/lock.js';
import { thisProcess, type Owner } from '../../lib/jobs/owner.js';
import { until } from '../support/batch.js';
import { eachInAFolder } from '../support/scratch.js';

const times = { beat: 20, dead: 400 };

describe('the lock of a job', () => {
  let folder: string;
  let file: string;
  eachInAFolder('lock', (made) => {
    folder = made;
    file = join(folder, 'lock-000001.json');
  });

  const claim = (owner: Partial<Owner>, count = 0): string => JSON.stringify({ host: 'elsewhere', pid: 12, token: 'a', count, ...owner });

  it('is one process’s, and leaves nothing behind', async () => {
    const lock = await FolderLock.take(folder, { times });
    await lock.held(true);
    await assert.rejects(FolderLock.take(folder, { times }), {
      code: 'ERR_LOCKED',
      message: new RegExp(`worked on by process ${process.pid} on this machine`),
    });
    await lock.release();
    assert.deepEqual(readdirSync(folder), []);
    await (await FolderLock.take(folder, { times })).release();
  });

  it('of a hundred that want it at once one gets it', async () => {
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => FolderLock.take(folder, { times })));
    const got = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    assert.equal(got.length, 1);
    for (const one of all) if (one.status === 'rejected') assert.equal((one.reason as { code: string }).code, 'ERR_LOCKED');
    await got[0]?.held(true);
    await got[0]?.release();
  });

  it('of a process that ended is taken at once; a number that was given again is not that process', async () => {
    const here = thisProcess();
    writeFileSync(file, claim({ ...here, started: '1' }));
    const never = { beat: 60_000, dead: 600_000 };
    await (await FolderLock.take(folder, { times: never })).release();
    writeFileSync(file, claim({ ...here, pid: 2 ** 22 + 1 }));
    await (await FolderLock.take(folder, { times: never })).release();
  });

  for (const [what, owner] of [
    ['another machine', {}],
    ['another container of this machine', { host: hostname(), space: 'another' }],
    ['another machine of the same name', { host: hostname() }],
  ] as const) {
    it(`of ${what} is taken once it shows no life, and not before`, async () => {
      const other = { host: 'elsewhere', ...owner };
      writeFileSync(file, claim(other));
      let count = 0;
      const beat = setInterval(() => writeFileSync(file, claim(other, ++count)), times.beat);
      const told: string[] = [];
      try {
        await assert.rejects(FolderLock.take(folder, { times, say: (text) => told.push(text) }), {
          code: 'ERR_LOCKED',
          message: /worked on by process 12 on/,
        });
      } finally {
        clearInterval(beat);
      }
      assert.match(told[0] ?? '', /process 12 on .* has not left the job in .*: waiting for a sign of its life/);
      const lock = await FolderLock.take(folder, { times });
      assert.deepEqual([existsSync(file), readdirSync(folder)], [false, ['lock-000002.json']]);
      await lock.release();
    });
  }

  it("of another user's process that is hidden from this one is not taken while it shows life", async function () {
    const as = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    // What mounting /proc with hidepid does.
    const hide = `mount -t tmpfs none /proc/${process.pid} && exec setpriv ${as.join(' ')} "$@"`;
    const hidden = ['--mount', 'sh', '-c', hide, 'sh'];
    skipUnlessAllowed(this, ['unshare', ...hidden], 'this user may neither mount nor become another (unshare, setpriv)');
    chmodSync(folder, 0o777);
    const lock = await FolderLock.take(folder, { times });
    chmodSync(file, 0o666);
    const body = `
      const { FolderLock } = require(${JSON.stringify(join(root, 'lib', 'jobs', 'lock.ts'))});
      FolderLock.take(${JSON.stringify(folder)}, { times: { beat: 200, dead: 4000 } }).then(() => console.log('taken'), (error) => console.log(error.message));`;
    const other = spawn('unshare', [...hidden, process.execPath, '--import', 'tsx', '-e', body], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.match(await text(other.stdout), new RegExp(`is being worked on by process ${process.pid} on this machine`));
    await lock.held(true);
    await lock.release();
  });

  it('an owner that slept until it was taken for dead writes no more', async () => {
    const lock = await FolderLock.take(folder, { times });
    // Another machine has watched it for long enough.
    writeFileSync(join(folder, 'lock-000002.json'), claim({}));
    rmSync(file);
    await assert.rejects(lock.held(true), { code: 'ERR_LOCKED', message: /another process has taken the job/ });
    await lock.release();
    assert.deepEqual(readdirSync(folder), ['lock-000002.json']);
  });

  it('an owner whose clock stood still while it slept writes no more once it has counted', async () => {
    const lock = await FolderLock.take(folder, { times: { beat: 20, dead: 60_000 } });
    rmSync(file);
    await until(async () => !(await lock.held().then(() => true, () => false)), 'a refusal', 5); // prettier-ignore
    await assert.rejects(lock.held(), { code: 'ERR_LOCKED', message: /another process has taken the job/ });
    await lock.release();
  });

  it('one who judged late takes nothing from who came between', async () => {
    writeFileSync(file, claim({}));
    let heard: () => void = () => undefined;
    const judged = new Promise<void>((resolve) => (heard = resolve));
    const late = FolderLock.take(folder, { times: { beat: 2_000, dead: 300 }, say: () => heard() }); // looks once more after 200 ms
    late.catch(() => undefined);
    await judged;
    // Meanwhile the owner was followed by another, which left, and a third came.
    rmSync(file);
    const third = await FolderLock.take(folder, { times });
    await assert.rejects(late, { code: 'ERR_LOCKED' });
    await third.held(true);
    await third.release();
  });

  it('a file that was never written counts as a dead owner’s, after a while', async () => {
    writeFileSync(file, '');
    const lock = await FolderLock.take(folder, { times });
    assert.equal((JSON.parse(readFileSync(join(folder, 'lock-000002.json'), 'utf8')) as Owner).pid, process.pid);
    await lock.release();
  });

  it('waiting ends with the signal’s reason', async () => {
    writeFileSync(file, claim({}));
    const aborter = new AbortController();
    const reason = new Error('of the user');
    const taken = FolderLock.take(folder, { times: { beat: 100, dead: 60_000 }, signal: aborter.signal, say: () => aborter.abort(reason) });
    await assert.rejects(taken, (error) => error === reason);
    assert.deepEqual(readdirSync(folder), ['lock-000001.json']);
  });
});
