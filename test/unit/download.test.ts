// Downloads against a server that stalls, cuts, ignores ranges, redirects and serves wrong bytes.
import { strict as assert } from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { download, type DownloadRequest } from '../../lib/weights/download.js';
import { cutAfter, file, fileWithoutRanges, redirect, serve, stallAfter, status, type FlakyServer } from '../support/flaky-server.js';
import { eachInAFolder } from '../support/scratch.js';

const content = randomBytes(300_000);
const sha256 = createHash('sha256').update(content).digest('hex');

describe('download', () => {
  let folder: string;
  let target: string;
  eachInAFolder('download', (made) => {
    folder = made;
    target = join(folder, 'sub', 'weights.pth');
  });

  const fetchFrom = (server: FlakyServer, more: Partial<DownloadRequest> = {}): Promise<string> =>
    download({ url: `${server.url}/weights.pth`, file: target, sha256, stallMs: 20_000, pauseMs: 10, ...more });

  function assertArrived(): void {
    assert.deepEqual(readFileSync(target), content);
    assert.deepEqual(readdirSync(join(folder, 'sub')), ['weights.pth']);
  }

  async function assertFails(attempt: Promise<unknown>, message: RegExp): Promise<void> {
    await assert.rejects(attempt, { name: 'CornerNetError', code: 'ERR_DOWNLOAD', message });
    assert.ok(!existsSync(target));
  }

  it('fetches, verifies by the first digits too, and tells how far it is', async () => {
    await using server = await serve(file(content));
    const seen: number[] = [];
    await fetchFrom(server, {
      sha256: sha256.slice(0, 8),
      onProgress: ({ received, total }) => {
        seen.push(received);
        assert.equal(total, content.length);
      },
    });
    assertArrived();
    assert.equal(seen.at(-1), content.length);
  });

  it('goes on where the connection was cut', async () => {
    await using server = await serve(cutAfter(content, 100_000), file(content));
    await fetchFrom(server);
    assertArrived();
    assert.equal(server.requests[1]?.range, 'bytes=100000-');
  });

  it('goes on where the process before was stopped', async () => {
    await using stalling = await serve(stallAfter(content, 120_000));
    const stop = new AbortController();
    const onProgress = ({ received }: { received: number }): void => {
      if (received === 120_000) stop.abort(new Error('enough'));
    };
    await assert.rejects(fetchFrom(stalling, { signal: stop.signal, onProgress }), /^Error: enough$/);
    await using server = await serve(file(content));
    await fetchFrom(server);
    assertArrived();
    assert.equal(server.requests[0]?.range, 'bytes=120000-');
  });

  it('gives up a connection that stalls, and tries again', async () => {
    await using server = await serve(stallAfter(content, 50_000), file(content));
    await fetchFrom(server, { stallMs: 300 });
    assertArrived();
  });

  it('begins anew where ranges are ignored', async () => {
    await using server = await serve(cutAfter(content, 100_000), fileWithoutRanges(content));
    await fetchFrom(server);
    assertArrived();
  });

  it('begins anew when what was there before belongs to another file', async () => {
    await using server = await serve(cutAfter(randomBytes(content.length), 100_000), file(content), file(content));
    await fetchFrom(server);
    assertArrived();
    assert.deepEqual(
      server.requests.map(({ range }) => range),
      [undefined, 'bytes=100000-', undefined],
    );
  });

  it('takes a part that is already whole', async () => {
    await using cut = await serve(cutAfter(content, content.length), status(404));
    await fetchFrom(cut).catch(() => undefined);
    rmSync(target, { force: true });
    writeFileSync(`${target}.part`, content);
    await using server = await serve(file(content));
    await fetchFrom(server);
    assertArrived();
  });

  it('follows redirects, and stops going in circles', async () => {
    await using server = await serve(redirect('/elsewhere'), file(content));
    await fetchFrom(server);
    assertArrived();
    assert.equal(server.requests[1]?.path, '/elsewhere');
    rmSync(target);
    await using circle = await serve(redirect('/again'));
    await assertFails(fetchFrom(circle), /redirect/);
  });

  it('refuses wrong bytes and leaves nothing of them', async () => {
    await using server = await serve(file(randomBytes(1000)));
    await assertFails(fetchFrom(server), /has the sha256 [0-9a-f]{64}, not/);
    assert.deepEqual(readdirSync(join(folder, 'sub')), []);
  });

  it('does not insist where the file is missing', async () => {
    await using server = await serve(status(404));
    await assertFails(fetchFrom(server), /answered 404/);
    assert.equal(server.requests.length, 1);
  });

  it('insists where the server is overloaded', async () => {
    await using server = await serve(status(503), status(503), file(content));
    await fetchFrom(server);
    assertArrived();
  });

  it('says so when nothing answers', async () => {
    const gone = await serve(file(content));
    await gone[Symbol.asyncDispose]();
    await assertFails(fetchFrom(gone), /could not be fetched: .*(ECONNREFUSED|connect)/);
  });

  it('follows no redirect to another machine without https', async () => {
    await using server = await serve(redirect('http://weights.invalid/weights.pth'));
    await assertFails(fetchFrom(server), /a redirect to http:\/\/weights\.invalid\/weights\.pth is not followed: it is not https/);
    assert.equal(server.requests.length, 1);
  });
});
