// The files of a job's folder that a later run reads: the records of its results, its failures and its complete parts.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { CornerNetError } from '../../lib/errors.js';
import { FrozenList, freezeList } from '../../lib/jobs/list.js';
import { JobRecords, resultsFile } from '../../lib/jobs/records.js';
import { allInAFolder } from '../support/scratch.js';
import { holds } from './property.js';

const names = ['a.jpg', 'b.jpg', 'c.jpg'];
const files = [resultsFile(0), 'errors.jsonl', 'complete.jsonl'];
const seeds: Buffer[] = [];
let folder: string;
let list: FrozenList;

async function* entries() {
  for (const path of names) yield await Promise.resolve({ path });
}

function clear(): void {
  for (const file of files) rmSync(join(folder, file), { force: true });
}

allInAFolder('fuzz', async (made) => {
  folder = made;
  list = new FrozenList(folder, await freezeList(folder, entries(), {}));
  const records = await JobRecords.open(folder, list);
  for await (const one of records.pending()) {
    const image = one.entry.path;
    const failed = image === 'b.jpg' ? { image, error: { code: 'ERR_INPUT', message: 'no picture' } } : undefined;
    await records.write(
      one,
      failed ?? { image, width: 4, height: 3, detections: [{ label: 'x', classId: 0, score: 0.5, box: [0, 0, 1, 1] }] },
    );
  }
  await records.close();
  seeds.push(...files.map((file) => readFileSync(join(folder, file))));
});

/** As one of the files, the others being as they were. */
async function readAs(file: string, bytes: Buffer): Promise<void> {
  clear();
  files.forEach((name, at) => {
    writeFileSync(join(folder, name), name === file ? bytes : (seeds[at] ?? ''));
  });
  const records = await JobRecords.open(folder, list);
  try {
    if (records.done + records.failed > names.length) throw new Error('there are more records than pictures');
    for await (const { outcome } of records.outcomes()) if (!('error' in outcome) && outcome.width < 1) throw new Error('a record is none');
  } catch (error) {
    // What is missing is computed again: outcomes() says so of a job that isn't complete.
    if (!(error instanceof CornerNetError)) throw error;
  } finally {
    await records.close();
  }
}

holds(
  'records',
  () => seeds,
  (bytes) => readAs(files[bytes.length % files.length] ?? '', bytes),
);
