// Batch jobs on disks that fail: a coded error or a right result, and the job goes on afterwards.
import { strict as assert } from 'node:assert';
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

import { orSkip } from '../environment.js';
import { assertComplete, errorsOf, photos, writeList } from '../support/batch.js';
import { cornernet } from '../support/child.js';
import { withFaults, type Faults } from '../support/faults.js';
import { eachInAFolder } from '../support/scratch.js';

const few = photos.slice(0, 4);

describe('cornernet batch on a disk that fails', function () {
  this.timeout(300_000);
  let folder: string;
  let job: string;
  let list: string;
  eachInAFolder('faulty', (made) => {
    folder = made;
    job = join(folder, 'job');
    list = writeList(join(folder, 'some.txt'), few);
  });

  async function batch(context: Mocha.Context, faults: Faults, ...flags: string[]): Promise<{ code: number | null; stderr: string }> {
    const env = await orSkip(context, () => withFaults(faults));
    return cornernet(['batch', '--output', job, '--progress', 'none', ...flags], { env });
  }

  it('a list and records that can not be read are named, with a code', async function () {
    const unread = await batch(this, { path: 'some.txt', rules: ['read:EIO'] }, list);
    assert.deepEqual([unread.code, /^ERR_INPUT: .*some\.txt can't be read: EIO/m.test(unread.stderr)], [1, true], unread.stderr);
    assert.equal((await batch(this, {}, list)).code, 0);
    const lost = await batch(this, { path: 'results-0', rules: ['read:EIO'] }, '--format', 'csv');
    assert.deepEqual([lost.code, /^ERR_INPUT: .*results-000000\.jsonl can't be read: EIO/m.test(lost.stderr)], [1, true], lost.stderr);
    assert.equal((await batch(this, {}, '--format', 'csv')).code, 0);
    assertComplete(job, few);
  });

  /** It ends with a code and a sentence or with every record, and goes on to the same end without the faults. */
  async function survives(context: Mocha.Context, faults: Faults): Promise<{ code: number | null; stderr: string }> {
    rmSync(job, { recursive: true, force: true });
    const what = JSON.stringify(faults);
    const ended = await batch(context, faults, list);
    if (ended.code === 1) assert.match(ended.stderr, /^ERR_(?!INTERNAL)[A-Z_]+: /m, what);
    else if (ended.code === 2)
      assert.ok(errorsOf(job).every(({ error }) => error.code !== 'ERR_INTERNAL'), what); // prettier-ignore
    else if (ended.code === 0) assertComplete(job, few);
    else assert.ok(/:kill/.test(what), `${what}: ${ended.code} ${ended.stderr}`);
    const again = await batch(context, {}, list, '--retry-errors');
    assert.equal(again.code, 0, `${what}, and then: ${again.stderr}`);
    assertComplete(job, few);
    assert.deepEqual(readdirSync(job).filter((name) => /damaged|lock|report\.html.*part/.test(name)), [], what); // prettier-ignore
    const verified = await batch(context, {}, '--verify');
    assert.equal(verified.code, 0, `${what}: ${verified.stderr}`);
    return ended;
  }

  it('writes that fail, fall short or are interrupted', async function () {
    const path = `${job}/`;
    for (const at of [1, 4, 9]) {
      const { code, stderr } = await survives(this, { path, rules: [`write:short:${at}:1`, `write:ENOSPC:${at + 1}`] });
      assert.deepEqual([code, /^ERR_WRITE: .*ENOSPC/m.test(stderr)], [1, true], stderr);
    }
    assert.equal((await survives(this, { path, rules: ['write:short', 'write:EINTR:1:5', 'fsync:EINTR:2:1', 'open:EINTR:3:1'] })).code, 0);
    // The disk is well again at once (libuv itself tries once more): nothing comes to stand behind half a line.
    const { code, stderr } = await survives(this, { path: 'results-0', rules: ['write:short:2:1', 'write:EIO:3:2'] });
    assert.deepEqual([code, /^ERR_WRITE: .*results-000000.*EIO/m.test(stderr)], [1, true], stderr);
  });

  it('syncs, renames and folders that fail', async function () {
    for (const rule of [
      'fsync:EIO:2',
      'fsync:EIO:6:1',
      'rename:EIO:1',
      'rename:EROFS:2',
      'mkdir:ENOSPC',
      'open:EMFILE:6:1',
      'truncate:EIO',
    ]) {
      await survives(this, { path: job, rules: [rule] });
    }
  });

  it('pictures and a checkpoint that can not be read, or only in pieces', async function () {
    const one = await survives(this, { path: basename(few[1] as string), rules: ['read:EIO'] });
    assert.equal(one.code, 2, one.stderr);
    assert.equal((await survives(this, { path: 'digits', rules: ['read:short'] })).code, 0);
    await survives(this, { path: 'digits/val', rules: ['read:EINTR:2:2'] });
    for (const rule of ['read:EIO:3', 'open:EACCES']) {
      const { code, stderr } = await survives(this, { path: 'digits.pth', rules: [rule] });
      assert.deepEqual([code, /^ERR_(INPUT|CHECKPOINT): .*digits\.pth/m.test(stderr)], [1, true], stderr);
    }
  });

  it('disks that are slow and clocks that jump', async function () {
    const slow = { path: folder, rules: ['write:slow=20', 'fsync:slow=100', 'rename:slow=50', 'read:slow=20'] };
    for (const faults of [slow, { clock: '-86400@1' }, { clock: '86400@1' }]) {
      const { code, stderr } = await survives(this, faults);
      assert.equal(code, 0, stderr);
    }
  });

  it('an end at any of its writes', async function () {
    for (const rule of ['write:kill:3', 'rename:kill:2', 'fsync:kill:7', 'mkdir:kill:2', 'write:kill:12'])
      await survives(this, { path: job, rules: [rule] });
  });

  it('memory that runs out in the process that computes', async function () {
    for (const malloc of ['1000000:1', '1000000:20', '100000:200', '4000:20000']) {
      const ended = await survives(this, { process: 'child.js', malloc });
      if (ended.code === 1) assert.match(ended.stderr, /^ERR_(OUT_OF_MEMORY|CRASHED|CHECKPOINT|LIBTORCH|NOT_BUILT): /m);
    }
  });
});
