// A job without a detector, in a process of its own: every tenth picture fails and is tried again. Arguments: its folder, how many pictures.
import type { Entry } from '../../lib/inputs/entry.js';
import { writeJob } from '../../lib/jobs/job.js';
import { FrozenList, freezeList } from '../../lib/jobs/list.js';
import { FolderLock } from '../../lib/jobs/lock.js';
import { JobRecords } from '../../lib/jobs/records.js';

async function* pictures(count: number): AsyncGenerator<Entry, void> {
  for (let i = 0; i < count; i++) yield await Promise.resolve({ path: `${i}.jpg` });
}

async function run(folder: string, count: number): Promise<void> {
  const lock = await FolderLock.take(folder);
  const total = await freezeList(folder, pictures(count));
  const weights = { given: 'digits', sha256: '0'.repeat(64) };
  const about = { created: '', cornernet: '', libtorch: null, classes: null, settings: {}, inputs: [], precision: 'fp32' } as const;
  await writeJob(folder, { version: 2, ...about, weights, total });
  for (const retryErrors of [false, true]) {
    const records = await JobRecords.open(folder, new FrozenList(folder, total), { retryErrors, held: (anew) => lock.held(anew) });
    for await (const one of records.pending()) {
      const image = one.entry.path;
      const failed = { image, error: { code: 'ERR_INPUT', message: 'no picture' } };
      await records.write(one, one.position % 10 === 0 && !retryErrors ? failed : { image, width: 4, height: 3, detections: [] });
    }
    await records.close();
  }
  await lock.release();
}

void run(process.argv[2] as string, Number(process.argv[3]));
