// Whether a job's folder is whole: everything in it is read, nothing is changed.
import { CornerNetError } from '../errors.js';
import { ChangeCounter } from '../inputs/seen.js';
import { checkControls } from '../options/check.js';
import { baseOf, readJob } from './job.js';
import { FrozenList } from './list.js';
import { FolderLock } from './lock.js';
import { JobRecords } from './records.js';
import type { BatchVerification, VerifyBatchOptions } from './types.js';

/**
 * Reads a job's list and all its records, and looks again at each picture that has a result: whether every picture has exactly one record, which
 * is as it was written, and whose picture is as it was listed (one that is gone counts as unchanged). What isn't whole is mended by `runBatch` on the same folder, changed pictures apart.
 *
 * @param output the job's folder.
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_JOB` when it holds no job or the job's list is damaged, `ERR_LOCKED`, `ERR_WRITE` (nobody can
 * lock the folder), `ERR_INPUT` (it can't be read).
 */
export async function verifyBatch(output: string, controls: VerifyBatchOptions = {}): Promise<BatchVerification> {
  const { signal, onMessage } = checkControls(controls, ['signal', 'onMessage']);
  const job = await readJob(output);
  if (!job) throw new CornerNetError('ERR_JOB', `${output} holds no job`);
  const lock = await FolderLock.take(output, { signal, say: onMessage });
  try {
    const { total } = job;
    const list = new FrozenList(output, total, baseOf(job));
    const records = await JobRecords.open(output, list, { thorough: true, readOnly: true, signal });
    const changes = new ChangeCounter(true);
    for (let part = 0; part < list.parts; part++) {
      for (const { position, entry, seen } of await list.read(part)) {
        signal?.throwIfAborted();
        if (records.hasResult(position)) await changes.look(entry, seen);
      }
    }
    const { done, failed, damaged } = records;
    const changed = await changes.changed();
    const pending = total - done - failed;
    return { whole: pending === 0 && damaged.length === 0 && changed === 0, total, done, failed, pending, changed, damaged };
  } finally {
    await lock.release();
  }
}
