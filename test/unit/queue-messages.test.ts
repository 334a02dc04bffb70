// What goes through a queue: bounded, signed for one chunk, and silent about the machine that it comes from.
import { strict as assert } from 'node:assert';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chunkSchema, parseMessage, replySchemaOf } from '../../lib/jobs/queue/protocol.js';
import { QueueRoot } from '../../lib/jobs/queue/root.js';
import { MessageSeal } from '../../lib/jobs/queue/seal.js';
import { eachInAFolder } from '../support/scratch.js';

const chunk = {
  weights: { given: 'digits', sha256: '0'.repeat(64) },
  precision: 'auto',
  settings: { maxSide: 500 },
  entries: [{ path: 'a.jpg' }],
};
const reply = (detection: object, classes = ['0'], timings?: object): unknown => ({
  outcomes: [
    {
      ...{ image: 'a.jpg', width: 9, height: 9 },
      detections: [{ label: '0', classId: 0, score: 0.5, box: [0, 0, 1, 1], ...detection }],
      ...(timings && { timings }),
    },
  ],
  classes,
});

describe("a queue's messages", () => {
  let folder: string;
  eachInAFolder('messages', (made) => (folder = made));

  it('are taken within their bounds and no further', () => {
    parseMessage(chunkSchema, chunk, 'a chunk');
    for (const [change, sentence] of [
      [{ settings: { nonsense: 1 } }, /settings.nonsense is unknown/],
      [{ settings: { device: Array(60).fill('cpu') } }, /settings.device is unknown/],
      [{ settings: { threads: 1000 } }, /settings.threads is unknown/],
      [{ settings: { maxPixels: 2 ** 53 } }, /settings.maxPixels/],
      [{ settings: JSON.parse('{"__proto__":{"maxPixels":1}}') as object }, /__proto__/],
      [{ entries: Array(17).fill({ path: 'a.jpg' }) }, /entries/],
      [{ entries: [{ path: 'a\0.jpg' }] }, /NUL/],
      [{ entries: [{ path: 'a'.repeat(5000) }] }, /entries.0.path/],
      [{ weights: { given: 'digits', sha256: 'none' } }, /weights.sha256/],
      [{ precision: 'int4' }, /precision/],
    ] as const) {
      assert.throws(() => parseMessage(chunkSchema, { ...chunk, ...change }, 'a chunk'), { code: 'ERR_QUEUE', message: sentence });
    }
    const schema = replySchemaOf({ settings: { maxPerImage: 1 } }, 1);
    assert.deepEqual(parseMessage(schema, reply({}), 'it'), reply({}));
    const timings = { start: 1, decode: 2, wait: 0, prepare: 1, network: 9, corners: 1, nms: 1, total: 15, batch: 2 };
    assert.deepEqual(parseMessage(schema, reply({}, ['0'], timings), 'it'), reply({}, ['0'], timings));
    for (const bad of [
      reply({ box: null }),
      reply({ box: [0, 0, null, 1] }),
      reply({ classId: 1 }),
      reply({}, ['0'], { ...timings, batch: undefined }),
      reply({}, ['0'], { ...timings, machine: 1 }),
      { outcomes: [], classes: [] },
      undefined,
    ]) {
      assert.throws(() => parseMessage(schema, bad, 'it'), { code: 'ERR_QUEUE' });
    }
  });

  it('are signed for one queue, direction and chunk, and refused otherwise', () => {
    const said: string[] = [];
    const [file, other] = [join(folder, 'key'), join(folder, 'other')];
    writeFileSync(file, 'a key of enough bytes\n', { mode: 0o600 });
    writeFileSync(other, 'another key, long enough', { mode: 0o600 });
    chmodSync(other, 0o644);
    const [signed, plain, wrong] = [file, undefined, other].map((key) => new MessageSeal('q', key, (text) => said.push(text))) as [
      MessageSeal,
      MessageSeal,
      MessageSeal,
    ];
    assert.match(said.join('\n'), /^the queue's key .*other is open to everybody/);
    const message = signed.close('chunk', 'job-1', { a: 1 });
    assert.deepEqual(signed.open('chunk', 'job-1', JSON.parse(JSON.stringify(message)), 100), { a: 1 });
    assert.deepEqual(plain.open('chunk', 'x', plain.close('chunk', 'y', { a: 1 }), 100), { a: 1 });
    for (const open of [
      () => signed.open('chunk', 'job-2', message, 100),
      () => signed.open('reply', 'job-1', message, 100),
      () => signed.open('chunk', 'job-1', { ...message, text: '{"a":2}' }, 100),
      () => signed.open('chunk', 'job-1', { text: message.text }, 100),
      () => signed.open('chunk', 'job-1', message, 3),
      () => new MessageSeal('other', file, () => undefined).open('chunk', 'job-1', message, 100),
      () => wrong.open('chunk', 'job-1', message, 100),
      () => plain.open('chunk', 'job-1', message, 100),
    ]) {
      assert.throws(open, { code: 'ERR_QUEUE' });
    }
    writeFileSync(file, 'short');
    assert.throws(() => new MessageSeal('q', file, () => undefined), { code: 'ERR_INPUT', message: /5 bytes/ });
  });

  it('name a member whatever it is called, and nothing of the machine', async () => {
    const real = join(folder, 'real');
    mkdirSync(real);
    symlinkSync(real, join(folder, 'link'));
    const root = new QueueRoot(join(folder, 'link'));
    const tar = join(folder, 'link', 'a.tar');
    const entry = { path: `${tar}/../../../../x.jpg`, member: { tar, offset: 512, size: 9 } };
    const sent = { path: 'a.tar/../../../../x.jpg', member: { tar: 'a.tar', offset: 512, size: 9 } };
    assert.deepEqual(root.relativeEntry(entry), sent);
    const local = join(root.folder, 'a.tar');
    assert.deepEqual(await root.localEntry(sent), { path: `${local}/../../../../x.jpg`, member: { ...sent.member, tar: local } });
    await assert.rejects(root.localEntry({ ...sent, member: { ...sent.member, tar: '../a.tar' } }), { code: 'ERR_INPUT' });
    assert.equal(root.outward(`${local} can't be read: open '/etc/shadow'`), "a.tar can't be read: open '(a path)'");
  });
});
