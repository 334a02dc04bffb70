// The detector: results, streams, aborts, closing, replicas, errors.
import { strict as assert } from 'node:assert';
import { constants } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import {
  CornerNetError,
  Detector,
  cornerPool,
  type CornerPoolDirection,
  type DetectionResult,
  type ImageSource,
  type RawImage,
} from '../../lib/index.js';
import { fixtures, skipBecause } from '../environment.js';
import { refusal } from '../support/refusal.js';

const photo = join(fixtures, 'digits', 'val', '0002.jpg');
const missing = join(fixtures, 'missing.jpg');

function raw(width: number, height: number, seed = 1): RawImage {
  return {
    width,
    height,
    channels: 3,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 31 + seed * 97 + (i >> 7)) & 255),
  };
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

async function coded(attempt: Promise<unknown>): Promise<string> {
  return (await refusal(attempt)).code;
}

describe('Detector', function () {
  this.timeout(60_000);
  let detector: Detector;
  before(async () => {
    detector = await Detector.load('digits', { device: 'cpu' });
  });
  after(() => detector.close());

  it('says what it is', () => {
    assert.equal(detector.device, 'cpu');
    assert.ok(['fp32', 'bf16'].includes(detector.precision));
    assert.equal(detector.classes.length, 10);
    assert.ok(detector.threads >= 1);
    assert.ok(detector.memory.weightsBytes > 1e6);
  });

  it('finds objects as documented', async () => {
    const result = await detector.detect(photo);
    assert.deepEqual(Object.keys(result), ['image', 'width', 'height', 'detections']);
    assert.deepEqual([result.image, result.width, result.height], [photo, 320, 240]);
    assert.ok(result.detections.length > 0);
    for (const { label, classId, score, box } of result.detections) {
      assert.equal(label, detector.classes[classId]);
      assert.ok(score >= 0.5 && score <= 1);
      const [x1, y1, x2, y2] = box;
      assert.ok(x1 >= 0 && y1 >= 0 && x2 > x1 && y2 > y1);
    }
    assert.deepEqual(
      result.detections.map(({ score }) => score),
      result.detections.map(({ score }) => score).sort((a, b) => b - a),
    );
  });

  it('eight pictures of one padded size make one forward; other sizes make their own, and the order is kept', async () => {
    const before = detector.stats;
    const eight = Array.from({ length: 8 }, (_, i) => raw(120 - i, 100 + i, i));
    assert.equal((await detector.detect(eight)).length, 8);
    assert.equal(detector.stats.forwards - before.forwards, 1);
    assert.equal(detector.stats.pictures - before.pictures, 8);
    const mixed = await detector.detect([raw(200, 100), raw(100, 200), photo, raw(190, 90), raw(100, 100)]);
    assert.deepEqual(
      mixed.map(({ image, width, height }) => [image, width, height]),
      [
        [null, 200, 100],
        [null, 100, 200],
        [photo, 320, 240],
        [null, 190, 90],
        [null, 100, 100],
      ],
    );
    assert.equal(detector.stats.forwards - before.forwards, 5);
    assert.deepEqual(await detector.detect([]), []);
  });

  it('classes that are not wanted take no place among the detections', async () => {
    const all = await detector.detect(photo, { scoreThreshold: 0 });
    const last = all.detections.at(-1)?.classId ?? 0;
    assert.notEqual(last, all.detections[0]?.classId);
    const wanted = all.detections.filter(({ classId }) => classId === last);
    const options = { scoreThreshold: 0, classes: [last], maxPerImage: wanted.length };
    const { detections } = await detector.detect(photo, options);
    for (const [i, { classId, box, score }] of detections.entries()) {
      assert.equal(classId, last);
      assert.deepEqual(box, wanted[i]?.box);
      assert.ok(Math.abs(score - (wanted[i]?.score ?? 0)) < 1e-5); // overlaps are of boxes shifted by the largest coordinate of all
    }
    assert.equal(detections.length, wanted.length);
  });

  it('later changes of the caller to a picture do no harm', async () => {
    const picture = raw(120, 100);
    const wanted = await detector.detect(raw(120, 100), { scoreThreshold: 0 });
    const running = detector.detect(picture, { scoreThreshold: 0 });
    await new Promise((resolve) => setImmediate(resolve));
    (picture.data as Uint8Array).fill(0);
    assert.deepEqual(await running, wanted);
  });

  it('frames that come in one memory each have their own result', async () => {
    const frames = [1, 2, 3, 4].map((seed) => raw(120, 100, seed));
    const memory = new Uint8Array(120 * 100 * 3);
    const film = function* (): Generator<RawImage> {
      for (const frame of frames) {
        memory.set(frame.data);
        yield { ...frame, data: memory };
      }
    };
    const results: unknown[] = [];
    for await (const result of detector.detectAll(film(), { scoreThreshold: 0 })) results.push(result);
    assert.deepEqual(results, await detector.detect(frames, { scoreThreshold: 0 }));
  });

  it('says which of several pictures failed, at once', async () => {
    const before = detector.stats.pictures;
    await assert.rejects(detector.detect([photo, missing, photo]), {
      code: 'ERR_INPUT',
      message: /^picture 2 of 3 \(.*missing\.jpg\): .*can't be read as a picture/,
    });
    await assert.rejects(detector.detect([raw(20, 20), Buffer.from('text')]), { message: /^picture 2 of 2: the picture can't be read/ });
    await assert.rejects(detector.detect([raw(20, 20), { ...raw(30, 20), width: 31 }]), { message: /^picture 2 of 2: a raw 31x20/ });
    await assert.rejects(detector.detect(missing), { message: /missing\.jpg can't be read as a picture/ });
    const endless = new Readable({ read: () => undefined });
    await assert.rejects(detector.detect([endless, missing]), { message: /^picture 2 of 2/ });
    assert.ok(endless.destroyed);
    assert.ok(detector.stats.pictures - before <= 3);
  });

  it('many pictures at once are decoded a few at a time', async () => {
    await using narrow = await Detector.load('digits', { device: 'cpu', threads: 1 });
    let opened = 0;
    let most = 0;
    const lazily = async function* (): AsyncGenerator<Uint8Array> {
      most = Math.max(most, ++opened - narrow.stats.pictures);
      yield await readFile(photo);
    };
    assert.equal((await narrow.detect(Array.from({ length: 60 }, lazily))).length, 60);
    assert.ok(opened === 60 && most <= 16 + 8, `${most} at a time`); // so many decoded ahead and one batch
    const unreadable = Array.from({ length: 40 }, () => createReadStream(missing));
    await assert.rejects(narrow.detect(unreadable), { message: /^picture \d+ of 40: .*ENOENT/ });
  });

  it('detectAll refuses what is one picture', async () => {
    // @ts-expect-error: a string is one picture, though it can be iterated
    await assert.rejects(detector.detectAll('a.jpg').next(), {
      code: 'ERR_INPUT',
      message: /several pictures, not 'a\.jpg': pass an array/,
    });
    for (const one of [Buffer.from('bytes'), new URL('file:///a.jpg'), raw(2, 2), null, 7, createReadStream(photo), new Blob([])]) {
      await assert.rejects(detector.detectAll(one as unknown as string[]).next(), { code: 'ERR_INPUT', message: /pass an array/ });
    }
    const widths: number[] = [];
    for await (const result of detector.detectAll(Readable.from([photo, photo]))) widths.push('error' in result ? 0 : result.width);
    assert.deepEqual(widths, [320, 320]);
  });

  it('streams results in order, with failures in their places', async () => {
    const sources: ImageSource[] = [photo, missing, raw(300, 100), raw(10, 10), missing, raw(128, 128)];
    const seen: unknown[] = [];
    for await (const result of detector.detectAll(sources, { batchSize: 4 }))
      seen.push('error' in result ? result.error.code : result.width);
    assert.deepEqual(seen, [320, 'ERR_INPUT', 300, 10, 'ERR_INPUT', 128]);
  });

  it('fills batches from a stream', async () => {
    const before = detector.stats.forwards;
    const sources = Array.from({ length: 16 }, (_, i) => raw(100, 100, i));
    let count = 0;
    for await (const result of detector.detectAll(sources, { batchSize: 8, concurrency: 16 })) count += 'error' in result ? 0 : 1;
    assert.equal(count, 16);
    assert.equal(detector.stats.forwards - before, 2);
  });

  it('takes no more from its source than it may hold', async () => {
    let taken = 0;
    const source = function* (): Generator<ImageSource> {
      for (let i = 0; i < 100; i++) {
        taken++;
        yield raw(20, 20, i);
      }
    };
    let handed = 0;
    for await (const result of detector.detectAll(source(), { concurrency: 5 })) {
      assert.ok(!('error' in result));
      handed++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.ok(taken <= handed + 5, `${taken} were taken when ${handed} were handed on`);
    }
    assert.equal(handed, 100);
  });

  it('an async source works, its failure ends the stream, and leaving the loop ends the source', async () => {
    const failing = async function* (): AsyncGenerator<ImageSource> {
      yield await Promise.resolve(raw(20, 20));
      throw new Error('no more pictures');
    };
    await assert.rejects(async () => {
      for await (const result of detector.detectAll(failing())) assert.ok(!('error' in result));
    }, /^Error: no more pictures$/);
    let ended = false;
    const endless = function* (): Generator<ImageSource> {
      try {
        for (;;) yield raw(20, 20);
      } finally {
        ended = true;
      }
    };
    for await (const result of detector.detectAll(endless())) {
      assert.ok(!('error' in result));
      break;
    }
    assert.ok(ended);
    assert.equal((await detector.detect(raw(20, 20))).width, 20);
  });

  it('lets go of each result that it has handed on, however long it goes on', async () => {
    const handed: WeakRef<object>[] = [];
    for await (const result of detector.detectAll(Array<ImageSource>(12).fill(raw(20, 20)))) {
      handed.push(new WeakRef(result));
      if (handed.length < 12) continue;
      await new Promise((resolve) => setImmediate(resolve)); // till then a WeakRef itself keeps what it is of
      collectGarbage();
      assert.deepEqual(handed.slice(0, -2).map((one) => one.deref()), new Array(10).fill(undefined)); // prettier-ignore
    }
    assert.equal(handed.length, 12);
  });

  it('a source that hangs keeps neither an abort nor the end of the loop from happening', async () => {
    const hanging = async function* (): AsyncGenerator<ImageSource> {
      yield raw(20, 20);
      await new Promise(() => undefined);
    };
    for await (const result of detector.detectAll(hanging())) {
      assert.ok(!('error' in result));
      break;
    }
    const reason = new Error('of the user');
    const aborter = new AbortController();
    await assert.rejects(async () => {
      for await (const result of detector.detectAll(hanging(), { signal: aborter.signal })) {
        assert.ok(!('error' in result));
        setImmediate(() => {
          aborter.abort(reason);
        });
      }
    }, reason);
    // One that has nothing to give but hangs when it is ended.
    const clinging: AsyncIterable<ImageSource> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: raw(20, 20) }),
        return: () => new Promise(() => undefined),
      }),
    };
    const second = new AbortController();
    await assert.rejects(async () => {
      for await (const result of detector.detectAll(clinging, { signal: second.signal })) {
        assert.ok(!('error' in result));
        second.abort(reason);
      }
    }, reason);
  });

  it('a source may wait for the result of the picture it gave before', async () => {
    let seen = 0;
    let given = 0;
    const asking = async function* (): AsyncGenerator<ImageSource> {
      for (; given < 4;) {
        given++;
        yield raw(20, 20);
        while (seen < given) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    for await (const result of detector.detectAll(asking(), { batchSize: 8 })) {
      assert.ok(!('error' in result));
      seen++;
    }
    assert.equal(seen, 4);
  });

  it('what was taken before the source failed is handed out first', async () => {
    const failing = function* (): Generator<ImageSource> {
      yield* [raw(20, 20), raw(200, 20), raw(20, 20)];
      throw new Error('no more pictures');
    };
    const widths: number[] = [];
    await assert.rejects(async () => {
      for await (const result of detector.detectAll(failing())) widths.push('error' in result ? 0 : result.width);
    }, /^Error: no more pictures$/);
    assert.deepEqual(widths, [20, 200, 20]);
  });

  it('aborts at once with the reason of the signal: before, while decoding, while computing, while streaming', async () => {
    const reason = new Error('of the user');
    await assert.rejects(detector.detect(photo, { signal: AbortSignal.abort(reason) }), reason);
    for (const delay of [0, 5]) {
      const aborter = new AbortController();
      const running = detector.detect([raw(1500, 1500), photo], { signal: aborter.signal });
      setTimeout(() => {
        aborter.abort(reason);
      }, delay);
      await assert.rejects(running, reason);
    }
    const aborter = new AbortController();
    await assert.rejects(async () => {
      for await (const result of detector.detectAll(Array<ImageSource>(50).fill(photo), { signal: aborter.signal })) {
        assert.ok(!('error' in result));
        aborter.abort(reason);
      }
    }, reason);
    await assert.rejects(Detector.load('digits', { signal: AbortSignal.abort(reason) }), reason);
    assert.ok((await detector.detect(photo)).detections.length > 0);
  });

  it('errors show where the caller was', async () => {
    async function theCaller(): Promise<unknown> {
      return await detector.heads(photo, { maxPixels: 5 });
    }
    assert.equal(await coded(theCaller()), 'ERR_TOO_LARGE');
    async function loading(): Promise<unknown> {
      return await Detector.load(photo);
    }
    const native = await refusal(loading());
    assert.equal(native.code, 'ERR_CHECKPOINT');
    assert.match(native.stack ?? '', /^CornerNetError: the checkpoint .*\n[^]*loading/);
  });

  it('closing lets the running call finish, drops the waiting ones, refuses new ones, and is idempotent', async () => {
    const closing = await Detector.load('digits', { device: 'cpu' });
    const calls = [1500, 700, 700, 700, 700, 700].map((side, i) => closing.detect(raw(side, side, i)));
    const outcomes = Promise.allSettled(calls);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const first = closing.close();
    assert.equal(first, closing.close());
    await first;
    const codes = (await outcomes).map((outcome) => (outcome.status === 'fulfilled' ? 'done' : (outcome.reason as CornerNetError).code));
    assert.ok(codes.every((code) => code === 'done' || code === 'ERR_CLOSED') && codes.at(-1) === 'ERR_CLOSED', codes.join());
    assert.equal(await coded(closing.detect(photo)), 'ERR_CLOSED');
    assert.equal(await coded(closing.heads(photo)), 'ERR_CLOSED');
    assert.equal(await coded(closing.detectAll([photo]).next()), 'ERR_CLOSED');
    assert.deepEqual(closing.memory, { weightsBytes: 0 });
    await closing[Symbol.asyncDispose]();
  });

  it('closing during a stream ends it', async () => {
    const closing = await Detector.load('digits', { device: 'cpu' });
    const consume = async (): Promise<void> => {
      for await (const result of closing.detectAll(Array<ImageSource>(100).fill(raw(300, 300)))) {
        assert.ok(!('error' in result));
        void closing.close();
      }
    };
    assert.equal(await coded(consume()), 'ERR_CLOSED');
  });

  it('replicas and other detectors work side by side', async () => {
    await using pair = await Detector.load('digits', { device: ['cpu', 'cpu'], threads: 1 });
    assert.equal(pair.device, 'cpu,cpu');
    const sources = Array.from({ length: 12 }, (_, i) => raw(150, 150, i));
    const results = await Promise.all([
      ...sources.map((source) => pair.detect(source)),
      ...sources.map((source) => detector.detect(source)),
    ]);
    assert.equal(results.length, 24);
    assert.equal(pair.stats.pictures, 12);
    assert.equal(pair.memory.weightsBytes, 2 * detector.memory.weightsBytes);
  });

  it('an explicit CUDA device is had or refused, never replaced', async () => {
    const loaded = await Detector.load('digits', { device: 'cuda' }).catch((error: unknown) => error);
    if (loaded instanceof Detector) {
      assert.match(loaded.device, /^cuda:/);
      await loaded.close();
    } else {
      assert.ok(loaded instanceof CornerNetError && loaded.code === 'ERR_DEVICE');
      assert.ok(loaded.message.length > 20);
    }
    assert.equal(await coded(Detector.load('digits', { device: 'cuda:99' })), 'ERR_DEVICE');
  });

  it('a 5472x3648 photo works, or says what it would need; then the detector works on', async () => {
    const huge: RawImage = { width: 5472, height: 3648, channels: 3, data: new Uint8Array(5472 * 3648 * 3).fill(90) };
    const result = await detector.detect(huge).catch((error: unknown) => error);
    if (result instanceof CornerNetError) {
      assert.equal(result.code, 'ERR_OUT_OF_MEMORY');
      assert.match(result.message, /5503x3711 pixels needs about \d+\.\d GB/);
    } else {
      assert.deepEqual([(result as { width: number }).width, (result as { height: number }).height], [5472, 3648]);
    }
    assert.equal(await coded(detector.detect(huge, { maxPixels: 1e6 })), 'ERR_TOO_LARGE');
    assert.ok((await detector.detect(photo)).detections.length > 0);
  });

  it('what can not fit says what it would need', async function () {
    // In fp32 this network takes 90 bytes a padded pixel and more, so this is half as much again as the whole machine has.
    const side = Math.ceil(Math.sqrt(totalmem() / 60));
    if (3 * side * side > constants.MAX_LENGTH) skipBecause(this, 'this machine has memory for any picture that this Node can hold');
    const huge: RawImage = { width: side, height: side, channels: 3, data: new Uint8Array(side * side * 3) };
    await using exact = await Detector.load('digits', { device: 'cpu', precision: 'fp32', maxPixels: side * side });
    const error = await refusal(exact.detect(huge));
    assert.equal(error.code, 'ERR_OUT_OF_MEMORY');
    assert.match(error.message, new RegExp(`${side | 127}x${side | 127} pixels needs about \\d+\\.\\d GB`));
    assert.ok((await exact.detect(photo)).detections.length > 0);
  });

  it('results carry their timings when asked', async () => {
    const begin = performance.now();
    const [one, two] = await detector.detect([photo, photo], { timings: true });
    const elapsed = performance.now() - begin;
    for (const { timings } of [one, two] as [DetectionResult, DetectionResult]) {
      assert.ok(timings);
      const { start, total, batch, ...stages } = timings;
      assert.deepEqual(Object.keys(stages), ['decode', 'wait', 'prepare', 'network', 'corners', 'nms']);
      const sum = Object.values(stages).reduce((all, time) => all + time, 0);
      assert.ok(Object.values(stages).every((time) => time >= 0) && stages.network > 0);
      assert.equal(batch, 2);
      // 1: the clocks of JavaScript and of the forward are set against each other within microseconds.
      assert.ok(start >= begin && total <= elapsed + 1 && sum <= total + 1, `${sum} of ${total} of ${elapsed} ms`);
    }
    assert.deepEqual(one?.timings?.network, two?.timings?.network); // of the forward that they shared
    for await (const result of detector.detectAll([photo, missing], { timings: true })) {
      assert.equal('timings' in result, !('error' in result));
    }
    assert.equal('timings' in (await detector.detect(photo)), false);
    // Scales of one padded size share a forward, which takes its time once.
    const { timings: scaled } = await detector.detect(photo, { timings: true, scales: [1, 1.02, 1.04], flip: false });
    assert.ok(scaled);
    assert.equal(scaled.batch, 1);
    assert.ok(scaled.prepare + scaled.network + scaled.corners + scaled.nms <= scaled.total, JSON.stringify(scaled));
  });

  it('counts the work of a forward', async () => {
    const flops = async (views: number): Promise<number> =>
      (await detector.work(300, 200, views)).reduce((sum, operator) => sum + operator.flops, 0);
    assert.ok((await flops(1)) > 1e8);
    assert.equal(await flops(2), 2 * (await flops(1)));
    assert.deepEqual(await detector.work(257, 129), await detector.work(383, 255)); // padded to one size
    assert.equal(await coded(detector.work(0, 10)), 'ERR_OPTION');
    assert.equal(await coded(detector.work(1.5, 10)), 'ERR_OPTION');
    assert.equal(await coded(detector.work(2 ** 20, 2 ** 20, 65536)), 'ERR_OPTION');
  });

  it('gives the maps of the head', async () => {
    const heads = await detector.heads(photo);
    assert.deepEqual([heads.paddedWidth, heads.paddedHeight, heads.left, heads.top], [383, 255, 31, 7]);
    assert.deepEqual(heads.tlHeat.shape, [10, 64, 96]);
    assert.deepEqual(heads.brOff.shape, [2, 64, 96]);
    assert.deepEqual(heads.tlEmb.shape, [1, 64, 96]);
    assert.equal(heads.tlHeat.values.length, 10 * 64 * 96);
  });
});

describe('cornerPool', () => {
  function naive(data: Float32Array, height: number, width: number, direction: CornerPoolDirection): Float32Array {
    const out = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const plane = i - (i % (height * width));
      const y = Math.floor((i % (height * width)) / width);
      const x = i % width;
      let best = -Infinity;
      for (let yy = 0; yy < height; yy++) {
        for (let xx = 0; xx < width; xx++) {
          const reached = { top: xx === x && yy >= y, bottom: xx === x && yy <= y, left: yy === y && xx >= x, right: yy === y && xx <= x }[
            direction
          ];
          if (reached) best = Math.max(best, data[plane + yy * width + xx] ?? NaN);
        }
      }
      out[i] = best;
    }
    return out;
  }

  for (const direction of ['top', 'bottom', 'left', 'right'] as const) {
    it(`${direction}: equals a naive loop, NaN and infinities included`, async () => {
      for (const shape of [
        [5, 7],
        [3, 4, 6],
        [2, 3, 5, 4],
        [1, 1],
      ]) {
        const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 12.9898) * 10);
        if (data.length > 10) data.set([NaN, -Infinity, Infinity], 4);
        const [height = 1, width = 1] = shape.slice(-2);
        assert.deepEqual([...(await cornerPool(data, shape, direction))], [...naive(data, height, width, direction)]);
      }
    });
  }

  it('is copied from, and refuses what does not fit', async () => {
    const data = Float32Array.of(1, 3, 2);
    const pooled = cornerPool(data, [1, 3], 'left');
    data.fill(0);
    assert.deepEqual(await pooled, Float32Array.of(3, 3, 2));
    assert.deepEqual(await cornerPool(new Float32Array(0), [0, 4], 'top'), new Float32Array(0));
    const foreign = runInNewContext('Float32Array.of(1, 3, 2)') as Float32Array; // as maps are that a detector gives under Jest
    assert.deepEqual([...(await cornerPool(foreign, [1, 3], 'left'))], [3, 3, 2]);
    assert.equal(await coded(cornerPool(data, [2, 3], 'left')), 'ERR_INPUT');
    assert.equal(await coded(cornerPool(data, [3], 'left')), 'ERR_INPUT');
    for (const options of [{ devcie: 'cpu' }, null])
      assert.equal(await coded(cornerPool(data, [1, 3], 'left', options as never)), 'ERR_OPTION');
    assert.equal(await coded(cornerPool(data, [-1, 3], 'left')), 'ERR_INPUT');
    assert.equal(await coded(cornerPool([1] as unknown as Float32Array, [1, 1], 'left')), 'ERR_INPUT');
    assert.equal(await coded(cornerPool(data, [1, 3], 'up' as 'top')), 'ERR_OPTION');
  });
});
