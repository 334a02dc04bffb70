// What a kill and a power cut leave of a job: its recorded writes are replayed up to every one of them, and the folder is opened.
import { strict as assert } from 'node:assert';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { readJob } from '../../lib/jobs/job.js';
import { FrozenList } from '../../lib/jobs/list.js';
import { JobRecords } from '../../lib/jobs/records.js';
import { orSkip, root } from '../environment.js';
import { assertComplete, errorsOf, photos, resultsOf } from '../support/batch.js';
import { cornernet, runNode } from '../support/child.js';
import { FileSystemModel, writeContents, type Contents, type Cut } from '../support/crash.js';
import { readTrace, withFaults, type FileOperation } from '../support/faults.js';
import { eachInAFolder } from '../support/scratch.js';

const cuts: readonly Cut[] = ['kill', 'unsynced-lost', 'names-kept', 'torn'];

/** Complete lines of results and failures. */
function recordsIn(contents: Contents): number {
  const files = [...contents].filter(([path]) => /\/(results-\d+|errors)\.jsonl$/.test(path));
  return files.reduce((sum, [, bytes]) => sum + (bytes?.toString().split('\n').length ?? 1) - 1, 0);
}

/** Opens what is left as the next start does: how many pictures have a record, how many lines were set aside. */
async function open(job: string): Promise<{ recorded: number; damaged: number }> {
  mkdirSync(job, { recursive: true });
  const file = await readJob(job);
  if (!file) return { recorded: 0, damaged: 0 };
  const list = new FrozenList(job, file.total);
  for (let part = 0; part < list.parts; part++) await list.read(part);
  const records = await JobRecords.open(job, list);
  await records.close();
  return { recorded: records.done + records.failed, damaged: records.damaged.reduce((sum, { lines }) => sum + lines, 0) };
}

describe('a job that is cut off', function () {
  this.timeout(300_000);
  let folder: string;
  let trace: string;
  eachInAFolder('crash', (made) => {
    folder = made;
    trace = join(folder, 'trace');
  });

  /** Opens the folder `job` as each way of cutting it off leaves it after an operation, and holds what is promised. */
  async function hold(model: FileSystemModel, what: string, each?: (cut: Cut, job: string) => Promise<void>): Promise<void> {
    for (const cut of cuts) {
      const here = join(folder, 'replayed');
      const left = model.after(cut);
      writeContents(left, here);
      const { recorded, damaged } = await open(join(here, 'job')).catch((error: unknown) =>
        assert.fail(`${cut} ${what}: ${String(error)}`),
      );
      // What is on the disk, failures apart that were forgotten since.
      const recordedNow = recordsIn(model.after('kill'));
      const promised = cut === 'kill' ? recordedNow : Math.min(recordedNow, recordsIn(model.after('unsynced-lost')));
      assert.ok(recorded >= promised, `${cut} ${what}: ${recorded} of ${promised} records are left`);
      assert.ok(cut === 'torn' || damaged === 0, `${cut} ${what}: ${damaged} lines are damaged`);
      await each?.(cut, join(here, 'job'));
      rmSync(here, { recursive: true, force: true });
    }
  }

  const named = ({ call, path, to }: FileOperation, at: number): string => `after operation ${at} (${call} ${path} ${to})`;

  it('goes on from every one of its writes, killed there or without power', async function () {
    const inputs = [...photos.slice(0, 4), join(folder, 'missing.jpg')];
    const env = await orSkip(this, () => withFaults({ path: folder, trace }));
    const job = join(folder, 'job');
    assert.equal((await cornernet(['batch', ...inputs, '--output', job, '--progress', 'none'], { env })).code, 2);
    assert.equal(resultsOf(job).length + errorsOf(job).length, inputs.length);
    const operations = await readTrace(trace);
    assert.ok(operations.length > 30, `${operations.length} operations`);
    const resumed = [0.4, 0.6, 0.8].map((share) => Math.floor(share * operations.length));
    const model = new FileSystemModel(folder);
    for (const [at, operation] of operations.entries()) {
      model.apply(operation);
      await hold(model, named(operation, at), async (cut, here) => {
        if (!resumed.includes(at) || cut === 'names-kept') return;
        const { code, stderr } = await cornernet(['batch', ...inputs, '--output', here, '--progress', 'none']);
        assert.equal(code, 2, `${cut} ${named(operation, at)}: ${stderr}`);
        assertComplete(here, inputs, inputs.slice(-1));
      });
    }
  });

  it('loses its last 256 records to a power cut at most, also of failures that are tried again', async function () {
    const env = await orSkip(this, () => withFaults({ path: folder, trace }));
    const script = join(root, 'test', 'support', 'record-job.ts');
    const { code, stderr } = await runNode(['--import', 'tsx', script, join(folder, 'job'), '600'], { env });
    assert.equal(code, 0, stderr);
    const operations = await readTrace(trace);
    const model = new FileSystemModel(folder);
    let written = 0;
    for (const [at, operation] of operations.entries()) {
      model.apply(operation);
      const records = recordsIn(model.after('kill'));
      const synced = recordsIn(model.after('unsynced-lost'));
      assert.ok(records - synced <= 256, `${records} records, of which ${synced} are on the disk ${named(operation, at)}`);
      written = Math.max(written, records);
      if (at < 60 || at % 40 === 0 || at > operations.length - 60 || operation.call === 'rename') await hold(model, named(operation, at));
    }
    assert.equal(written, 600);
  });
});
