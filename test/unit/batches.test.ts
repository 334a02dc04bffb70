// Batches: callers that ask one picture at a time share forwards while the device is busy, and nothing else.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { decodeImage } from '../../lib/images/image.js';
import { Batches, BatchRequest, type Company, type PendingTile } from '../../lib/detector/batches.js';
import { paddedSize } from '../../lib/detector/padding.js';
import { CornerNetError, Detector, type DetectionResult, type RawImage } from '../../lib/index.js';
import { fixtures } from '../environment.js';
import { assertSameResults } from '../parity/reference.js';

const missing = join(fixtures, 'missing.jpg');
const digit = (i: number): string => join(fixtures, 'digits', 'val', `000${i}.jpg`);

/** Grey, so that only the time it takes matters. */
function grey(width: number, height: number): RawImage {
  return { width, height, channels: 3, data: new Uint8Array(3 * width * height).fill(90) };
}

async function decoded(path: string): Promise<RawImage> {
  const { data, width, height } = await decodeImage(path, 1e6);
  return { data, width, height, channels: 3 };
}

function codeOf(outcome: PromiseSettledResult<unknown>): string {
  if (outcome.status === 'fulfilled') return 'done';
  return outcome.reason instanceof CornerNetError ? outcome.reason.code : String(outcome.reason);
}

describe('Batches', function () {
  this.timeout(60_000);
  let detector: Detector;
  before(async () => {
    detector = await Detector.load('digits', { device: 'cpu', precision: 'fp32', threads: 1, scoreThreshold: 0.05 });
  });
  after(() => detector.close());

  /** Of what `calls` takes, while the device is busy with a picture of another size. */
  async function whileBusy<T>(calls: () => Promise<T>): Promise<{ result: T; forwards: number; pictures: number }> {
    const before = detector.stats;
    const busy = detector.detect(grey(700, 700));
    await new Promise((resolve) => setImmediate(resolve));
    const result = await calls();
    await busy;
    const { forwards, pictures } = detector.stats;
    return { result, forwards: forwards - before.forwards - 1, pictures: pictures - before.pictures - 1 };
  }

  it('single calls share a forward while the device is busy, and find what each finds alone', async () => {
    // Decoded before, so that none comes too late.
    const pictures = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(async (i) => decoded(digit(i))));
    const alone: DetectionResult[] = [];
    for (const picture of pictures) alone.push(await detector.detect(picture));
    const before = detector.stats.forwards;
    const shared = await whileBusy(async () => Promise.all(pictures.map((picture) => detector.detect(picture))));
    const sizes = new Set(pictures.map(paddedSize)).size;
    assert.ok(sizes < 4);
    assert.deepEqual([shared.forwards, shared.pictures], [sizes, 8]);
    assert.equal(detector.stats.forwards - before, 1 + sizes);
    assertSameResults(shared.result, alone);
  });

  it('an idle device begins at once with the picture that is there', async () => {
    const before = detector.stats.forwards;
    const calls = [1, 2, 3].map(() => detector.detect(grey(120, 100)));
    await Promise.all(calls);
    assert.equal(detector.stats.forwards - before, 2); // the first, and those that came meanwhile
    for (let i = 0; i < 3; i++) await detector.detect(grey(120, 100));
    assert.equal(detector.stats.forwards - before, 5);
  });

  it('calls, arrays and streams share forwards; other options, sizes and limits do not', async () => {
    const stream = async (): Promise<number> => {
      let count = 0;
      for await (const result of detector.detectAll([grey(101, 100), grey(102, 100)], { batchSize: 8 })) count += 'error' in result ? 0 : 1;
      return count;
    };
    const shared = await whileBusy(async () =>
      Promise.all([detector.detect(grey(100, 100)), detector.detect([grey(110, 90), grey(90, 110)]), stream()]),
    );
    assert.deepEqual([shared.forwards, shared.pictures], [1, 5]);
    const other = await whileBusy(async () =>
      Promise.all([detector.detect(grey(100, 100)), detector.detect(grey(100, 100), { flip: true }), detector.detect(grey(130, 100))]),
    );
    assert.deepEqual([other.forwards, other.pictures], [3, 3]);
    await using narrow = await Detector.load('digits', { device: 'cpu', threads: 1, batchSize: 1 });
    await Promise.all([1, 2, 3].map(() => narrow.detect(grey(100, 100))));
    assert.equal(narrow.stats.forwards, 3);
  });

  it('an abort is its own call’s: one that waits, one under way, all of them', async () => {
    const reason = new Error('of the user');
    const aborter = new AbortController();
    const { result, pictures } = await whileBusy(async () => {
      const calls = [1, 2, 3].map((i) => detector.detect(grey(100, 100), i === 2 ? { signal: aborter.signal } : {}));
      await new Promise((resolve) => setImmediate(resolve));
      aborter.abort(reason);
      return Promise.allSettled(calls);
    });
    assert.deepEqual([result.map(codeOf), pictures], [['done', 'Error: of the user', 'done'], 2]);

    const second = new AbortController();
    const busy = detector.detect(grey(700, 700));
    const together = [1, 2].map((i) => detector.detect(grey(900, 900), i === 2 ? { signal: second.signal } : {}));
    await busy;
    await new Promise((resolve) => setImmediate(resolve)); // the two are in the network now
    second.abort(reason);
    assert.deepEqual((await Promise.allSettled(together)).map(codeOf), ['done', 'Error: of the user']);

    const all = AbortSignal.timeout(30);
    const gone = [1, 2, 3].map(() => detector.detect(grey(1500, 1500), { signal: all }));
    for (const outcome of await Promise.allSettled(gone)) assert.match(codeOf(outcome), /^TimeoutError/);
    assert.equal((await detector.detect(digit(2))).width, 320);
  });

  it('a picture that fails fails its own call only', async () => {
    const { result } = await whileBusy(async () =>
      Promise.allSettled([
        detector.detect(digit(1)),
        detector.detect(missing),
        detector.detect(grey(100, 100), { maxPixels: 5 }),
        detector.detect(digit(2)),
      ]),
    );
    assert.deepEqual(result.map(codeOf), ['done', 'ERR_INPUT', 'ERR_TOO_LARGE', 'done']);
  });

  it('close() while calls wait for a forward together ends each of them', async () => {
    const closing = await Detector.load('digits', { device: 'cpu', threads: 1 });
    const running = closing.detect(grey(1500, 1500)); // a second and more of work
    await new Promise((resolve) => setImmediate(resolve));
    const waiting = Promise.allSettled([1, 2, 3].map(() => closing.detect(grey(100, 100))));
    await setTimeout(100); // its thread has begun it by then
    await closing.close();
    await running;
    assert.deepEqual((await waiting).map(codeOf), ['ERR_CLOSED', 'ERR_CLOSED', 'ERR_CLOSED']);
  });
});

describe('Batches among themselves', () => {
  /** A device that ends a forward when it is told to. */
  function device(): { batches: Batches<number>; forwards: number[][]; end: (error?: Error) => Promise<void> } {
    const forwards: number[][] = [];
    const settle: ((error?: Error) => void)[] = [];
    const batches = new Batches<number>(async (tiles) => {
      const ids = tiles.map(({ picture }) => Number(picture.name));
      forwards.push(ids);
      await new Promise<void>((resolve, reject) => settle.push((error) => (error ? reject(error) : resolve())));
      return ids;
    }, 1);
    const end = async (error?: Error): Promise<void> => {
      settle.shift()?.(error);
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { batches, forwards, end };
  }

  const tile = (id: number, side: number, outcome: (text: string) => void = () => undefined): PendingTile<number> => ({
    picture: {
      name: String(id),
      original: { width: side, height: side },
      width: side,
      height: side,
      data: new Uint8Array(),
      taken: 0,
      decoded: 0,
    },
    tile: { left: 0, top: 0, width: side, height: side },
    wanted: () => true,
    take: (found) => outcome(`${found} found`),
    fail: ({ message }) => outcome(`${id} failed: ${message}`),
  });
  const request = (most: number): BatchRequest => new BatchRequest({}, most);
  const none = (): Company => 'none';

  it('whoever waits the longest is next, though another size never runs dry', async () => {
    const { batches, forwards, end } = device();
    const stream = request(2);
    let id = 0;
    const two = (): void => {
      for (let i = 0; i < 2; i++) batches.add(tile(id++, 100), stream, none);
    };
    two();
    batches.dispatch();
    two();
    batches.dispatch();
    batches.add(tile(99, 300), request(8), none);
    for (let round = 0; round < 4; round++) {
      two();
      batches.dispatch();
      await end();
    }
    assert.deepEqual(forwards.slice(0, 3), [
      [0, 1],
      [2, 3], // one ahead of the device
      [99],
    ]);
  });

  it('a tile whose call expects no more brings those along that would still wait for company', async () => {
    const { batches, forwards, end } = device();
    batches.add(tile(1, 100), request(8), () => 'coming');
    batches.dispatch();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(forwards, []);
    batches.add(tile(2, 100), request(8), none);
    batches.dispatch();
    assert.deepEqual(forwards, [[1, 2]]);
    await end();
  });

  it('a forward that fails is tried in halves, so that only the one at fault fails', async () => {
    const { batches, forwards, end } = device();
    const outcomes: string[] = [];
    for (const id of [1, 2, 3])
      batches.add(
        tile(id, 100, (text) => outcomes.push(text)),
        request(8),
        none,
      );
    batches.dispatch();
    for (const error of [new Error('too much'), undefined, new Error('bad')]) await end(error);
    assert.deepEqual(forwards, [[1, 2, 3], [1, 2], [3]]);
    assert.deepEqual(outcomes, ['1 found', '2 found', '3 failed: bad']);
  });
});
