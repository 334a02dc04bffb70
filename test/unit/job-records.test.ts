// The records of a job over several parts: what is done is what the files say.
import { strict as assert } from 'node:assert';
import { appendFileSync, existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mock } from 'node:test';

import { root } from '../environment.js';
import { runScript } from '../support/child.js';
import { allInAFolder, eachInAFolder } from '../support/scratch.js';
import { GrowingFile, lineOf, RecordsInOrder } from '../../lib/jobs/lines.js';
import { FrozenList, partLength, freezeList, type Position } from '../../lib/jobs/list.js';
import { errorLineSchema, type PictureOutcome } from '../../lib/jobs/outcome.js';
import { JobRecords, resultsFile } from '../../lib/jobs/records.js';
import type { Entry } from '../../lib/inputs/entry.js';

const total = 2 * partLength + 500;

async function* entries(): AsyncGenerator<Entry, void> {
  // Names come twice, in one part and in several.
  for (let i = 0; i < total; i++) yield await Promise.resolve({ path: `picture-${i % 3000}.jpg` });
}

const result = (image: string): PictureOutcome => ({ image, width: 4, height: 3, detections: [] });
const failure = (image: string): PictureOutcome => ({ image, error: { code: 'ERR_INPUT', message: 'no picture' } });

describe('job records', function () {
  this.timeout(60_000);
  let folder: string;
  let list: FrozenList;
  allInAFolder('records', async (made) => {
    folder = made;
    list = new FrozenList(folder, await freezeList(folder, entries(), {}));
  });
  /** For what one test writes. */
  let here: string;
  eachInAFolder('records', (made) => (here = made));

  async function pendingOf(records: JobRecords): Promise<Position[]> {
    const positions: Position[] = [];
    for await (const one of records.pending()) positions.push(one);
    return positions;
  }

  it('a list is frozen in parts', async () => {
    assert.deepEqual([list.length, list.parts, list.lengthOf(2)], [total, 3, 500]);
    assert.deepEqual((await list.read(1))[7], {
      position: partLength + 7,
      image: `picture-${(partLength + 7) % 3000}.jpg`,
      entry: { path: `picture-${(partLength + 7) % 3000}.jpg` },
      seen: undefined,
    });
    await assert.rejects(new FrozenList(folder, total + 1).read(2), { code: 'ERR_JOB', message: /is damaged: it has 500 lines, not 501/ });
  });

  it('limits and shards choose', async () => {
    assert.equal(await freezeList(here, entries(), { limit: 3, shard: { index: 2, count: 4 } }), 3);
    const paths = (await new FrozenList(here, 3).read(0)).map(({ entry }) => entry.path);
    assert.deepEqual(paths, ['picture-1.jpg', 'picture-5.jpg', 'picture-9.jpg']);
  });

  it('every third fails, all are written out of order, and nothing is pending when it is read again', async () => {
    const records = await JobRecords.open(folder, list);
    const all: Position[] = [];
    for await (const one of records.pending()) all.push(one);
    assert.equal(all.length, total);
    const order = all.map((_, i) => all[(i * 7919) % total] as Position);
    await Promise.all(order.map((one) => records.write(one, (one.position % 3 === 0 ? failure : result)(one.entry.path))));
    await records.write(all[5] as Position, result('a second time'));
    assert.deepEqual([records.done + records.failed, records.failed], [total, Math.ceil(total / 3)]);
    await records.close();

    const again = await JobRecords.open(folder, list);
    assert.deepEqual([again.done, again.failed, await pendingOf(again)], [total - Math.ceil(total / 3), Math.ceil(total / 3), []]);
    let position = 0;
    for await (const one of again.outcomes()) {
      assert.deepEqual([one.position, one.outcome.image, 'error' in one.outcome], [position, one.entry.path, position % 3 === 0]);
      position++;
    }
    assert.equal(position, total);
    await again.close();
  });

  it('outcomes are read in their order without a part of them in memory, however they were recorded', async () => {
    const count = 500;
    await freezeList(here, entries(), { limit: count });
    const detections = Array.from({ length: 1000 }, (_, i) => ({ label: 'a', classId: 0, score: 0.5, box: [i, 0, i + 1, 1] }));
    const part = join(here, resultsFile(0));
    // The first is tried again, and comes last.
    for (const position of [...Array(count).keys(), 0].slice(1)) {
      appendFileSync(part, lineOf({ image: `picture-${position}.jpg`, width: 4, height: 3, detections, position }));
    }
    const { code, stdout, stderr } = await runScript(
      `
      const { JobRecords } = require(${JSON.stringify(join(root, 'lib', 'jobs', 'records.ts'))});
      const { FrozenList } = require(${JSON.stringify(join(root, 'lib', 'jobs', 'list.ts'))});
      const here = ${JSON.stringify(here)};
      const records = await JobRecords.open(here, new FrozenList(here, ${count}), { readOnly: true });
      let expected = 0;
      for await (const { position, outcome } of records.outcomes()) {
        if (position !== expected++ || outcome.image !== 'picture-' + position + '.jpg') throw new Error(position + ' is ' + outcome.image);
      }
      console.log(expected);
      `,
      { flags: ['--import', 'tsx', '--max-old-space-size=80'] },
    );
    assert.deepEqual([code, Number(stdout)], [0, count], stderr);
  });

  it('the place of a record that came before its turn is held until then and no longer', async () => {
    const file = join(here, 'errors.jsonl');
    for (const position of [1, 0, 2]) appendFileSync(file, lineOf({ position, ...failure(`${position}.jpg`) }));
    const failures = new RecordsInOrder(file, errorLineSchema);
    const taken = [];
    for (const position of [0, 1, 2, 1]) taken.push((await failures.take(position))?.image);
    assert.deepEqual(taken, ['0.jpg', '1.jpg', '2.jpg', undefined]);
    await failures.close();
  });

  it('a part that lost its end is pending to that extent, the other parts are not read', async () => {
    const part = join(folder, resultsFile(1));
    const lines = readFileSync(part, 'utf8').split('\n').length - 1;
    truncateSync(part, readFileSync(part).length / 2);
    const left = readFileSync(part, 'utf8').split('\n').length - 1;
    const records = await JobRecords.open(folder, list);
    const pending = await pendingOf(records);
    assert.equal(pending.length, lines - left);
    assert.ok(pending.every(({ position }) => Math.floor(position / partLength) === 1 && position % 3 !== 0));
    await Promise.all(pending.map((one) => records.write(one, result(one.entry.path))));
    await records.close();
    assert.equal(readFileSync(part, 'utf8').split('\n').length - 1, lines);
  });

  it('an abort ends the reading of records and the freezing of a list', async () => {
    const reason = new Error('of the user');
    const signal = AbortSignal.abort(reason);
    await assert.rejects(JobRecords.open(folder, list, { thorough: true, readOnly: true, signal }), reason);
    await assert.rejects(JobRecords.open(folder, list, { signal }), reason);
    await assert.rejects(freezeList(here, entries(), { limit: 2, signal }), reason);
    assert.deepEqual(readdirSync(join(here, 'list.part')), []);
  });

  it('failures that are forgotten are pending', async () => {
    const records = await JobRecords.open(folder, list, { retryErrors: true });
    assert.equal((await pendingOf(records)).length, Math.ceil(total / 3));
    assert.ok(existsSync(join(folder, 'errors.jsonl')));
    await records.close();
  });

  it('a result that is none, with a number that is not finite, is an error and no record', async () => {
    const few = new FrozenList(here, await freezeList(here, entries(), { limit: 2 }));
    const records = await JobRecords.open(here, few);
    const [first, second] = (await pendingOf(records)) as [Position, Position];
    const detections = [{ label: 'a', classId: 0, score: 0.5, box: [0, NaN, 1, 1] as const }];
    await records.write(first, { image: first.entry.path, width: 4, height: 3, detections });
    await records.write(second, result(second.entry.path));
    await records.close();
    const again = await JobRecords.open(here, few);
    assert.deepEqual([again.done, again.failed, again.damaged], [1, 1, []]);
    const outcomes = [];
    for await (const { outcome } of again.outcomes()) outcomes.push('error' in outcome ? outcome.error.code : outcome.image);
    assert.deepEqual(outcomes, ['ERR_INTERNAL', 'picture-1.jpg']);
    await again.close();
  });

  it('a picture with a failure and a result, which a power cut may leave, has the result', async () => {
    const few = new FrozenList(here, await freezeList(here, entries(), { limit: 2 }));
    const line = { position: 1, ...failure('picture-1.jpg') };
    writeFileSync(join(here, 'errors.jsonl'), lineOf(line));
    writeFileSync(join(here, resultsFile(0)), lineOf({ ...result('picture-1.jpg'), position: 1 }));
    const records = await JobRecords.open(here, few);
    assert.deepEqual([records.done, records.failed, (await pendingOf(records)).map(({ position }) => position)], [1, 0, [0]]);
    await records.close();
  });

  it('a part that is sealed while another is being opened is not written to any more', async () => {
    const open = GrowingFile.open.bind(GrowingFile);
    let give: () => void = () => undefined;
    const given = new Promise<void>((resolve) => (give = resolve));
    const slow = mock.method(GrowingFile, 'open', async (...args: Parameters<typeof open>) => {
      if (args[0].endsWith(resultsFile(1))) await given;
      return open(...args);
    });
    try {
      const some = new FrozenList(here, await freezeList(here, entries(), { limit: partLength + 300 }));
      const records = await JobRecords.open(here, some);
      const all = await pendingOf(records);
      const write = (one: Position, outcome: typeof result): Promise<void> => records.write(one, outcome(one.entry.path));
      const last = all[partLength - 1] as Position;
      await Promise.all(all.slice(0, partLength - 1).map((one) => write(one, result)));
      // The first waits for its file, and so does the sync of all files that one of the others brings about.
      const others = Promise.all(all.slice(partLength).map((one, i) => write(one, i === 0 ? result : failure)));
      await write(last, result);
      give();
      await others;
      assert.deepEqual([records.done, records.failed], [partLength + 1, 299]);
      await records.close();
    } finally {
      slow.mock.restore();
    }
  });

  it("what comes when the records are closed is not written: the folder may be another process's by then", async () => {
    const few = new FrozenList(here, await freezeList(here, entries(), { limit: 2 }));
    const records = await JobRecords.open(here, few);
    const [first] = (await pendingOf(records)) as [Position];
    await records.close();
    await records.write(first, result(first.entry.path));
    const again = await JobRecords.open(here, few);
    assert.deepEqual([again.done, again.failed], [0, 0]);
    await again.close();
  });

  it('an owner that lost the folder seals no part', async () => {
    const few = new FrozenList(here, await freezeList(here, entries(), { limit: 2 }));
    const lost = new Error('another process has taken it');
    const records = await JobRecords.open(here, few, { held: (anew) => (anew === true ? Promise.reject(lost) : Promise.resolve()) });
    const [first, second] = (await pendingOf(records)) as [Position, Position];
    await records.write(first, result(first.entry.path));
    await assert.rejects(records.write(second, result(second.entry.path)), (error) => error === lost);
    await records.close();
    assert.equal(readFileSync(join(here, 'complete.jsonl'), 'utf8'), '');
  });
});
