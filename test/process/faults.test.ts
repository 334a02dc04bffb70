// Batch jobs on disks that fail: a coded error or a right result, and the job goes on afterwards.
import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { orSkip } from '../environment.js';
import { assertComplete, photos, writeList } from '../support/batch.js';
import { cornernet } from '../support/child.js';
import { withFaults, type Faults } from '../support/faults.js';

const few = photos.slice(0, 6);

describe('cornernet batch on a disk that fails', function () {
  this.timeout(300_000);
  let folder: string;
  let job: string;
  let list: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cornernet-faulty-'));
    job = join(folder, 'job');
    list = writeList(join(folder, 'some.txt'), few);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
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
});
