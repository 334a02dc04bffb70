// Who may write to a queue can't make a batch record or a worker compute what nobody with the key has said.
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Worker, type Job } from 'bullmq';

import { MessageSeal, type Envelope } from '../../lib/jobs/queue/seal.js';
import { fixtures } from '../environment.js';
import { assertComplete, photos, resultsOf, until } from '../support/batch.js';
import { cornernet, heard } from '../support/child.js';
import { QueueBed } from '../support/queue.js';

describe('a queue whose messages are signed', function () {
  this.timeout(300_000);
  let bed: QueueBed;
  beforeEach(() => (bed = new QueueBed()));
  afterEach(() => bed.end());

  it('hostile replies are computed again, hostile chunks refused, and the worker serves the next job', async function () {
    const { url, port } = await bed.server(this);
    const file = join(bed.folder, 'key');
    writeFileSync(file, 'a key of enough bytes', { mode: 0o600 });
    const key = ['--queue-key-file', file];
    const seal = new MessageSeal('cornernet', file, () => undefined);
    const inputs = photos.slice(0, 3);
    const batch = (output: string, flags: readonly string[]): ReturnType<QueueBed['start']> =>
      bed.start(['batch', ...inputs, '--output', join(bed.folder, output), '--queue', url, '--root', fixtures, ...flags]);

    // Replies by somebody without the key, and by one with it whose worker is broken.
    const first = batch('first', key);
    const said = heard(first.child);
    const hostile = new Worker('cornernet', undefined, { connection: { port } });
    try {
      const reply = async (of: (id: string, text: string) => Envelope): Promise<void> => {
        let job: Job | undefined;
        await until(async () => (job = await hostile.getNextJob('hostile')) !== undefined, 'a chunk to take');
        const detections = [{ label: '0', classId: 0, score: 1, box: null }];
        const outcomes = inputs.map((image) => ({ image, width: 9, height: 9, detections }));
        await job?.moveToCompleted(of(job.id as string, JSON.stringify({ outcomes, classes: ['0'] })), 'hostile', false);
      };
      await reply((_, text) => ({ text, mac: createHash('sha256').update(text).digest('hex') }));
      await until(() => /a worker's reply was refused: .*it is signed with another key/.test(said()), 'the forged reply');
      await reply((id, text) => seal.close('reply', id, JSON.parse(text) as object));
      await until(() => /refused: .*it is not what this version understands/.test(said()), 'the reply with null boxes');
    } finally {
      await hostile.close();
    }
    const worker = bed.worker(url, fixtures, key);
    const log = heard(worker.child);
    assert.equal((await first.ended).code, 0, said());
    assertComplete(join(bed.folder, 'first'), inputs);

    const unsigned = await batch('unsigned', []).ended;
    assert.equal(unsigned.code, 1, unsigned.stderr);
    assert.match(unsigned.stderr, /^ERR_QUEUE: a worker refused a chunk: .*is not signed, and here is a key/m);
    assert.equal(resultsOf(join(bed.folder, 'unsigned')).length, 0);

    const queue = bed.queue();
    const weights = { given: 'digits', sha256: createHash('sha256').update(readFileSync(file)).digest('hex') };
    const chunk = { weights, precision: 'auto', settings: { nonsense: 1 }, entries: [{ path: 'a.jpg' }] };
    const job = await queue.add('chunk', seal.close('chunk', 'theirs', chunk), { jobId: 'theirs', attempts: 1000 });
    await until(() => job.isFailed(), 'the chunk is refused');
    assert.match(log(), /chunk "theirs" is refused: .*settings\.nonsense is unknown/);

    assert.equal((await batch('next', key).ended).code, 0);
    assertComplete(join(bed.folder, 'next'), inputs);
    const { code } = await cornernet(['batch', '--output', join(bed.folder, 'next'), '--verify']);
    assert.deepEqual([code, worker.child.exitCode], [0, null]);
  });
});
