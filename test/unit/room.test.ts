// The bytes of pictures ahead of the network are bounded, and nothing waits for ever.
import { strict as assert } from 'node:assert';
import { Readable } from 'node:stream';

import sharp from 'sharp';

import { Detector } from '../../lib/index.js';
import { decodeImage } from '../../lib/images/image.js';
import { ahead, Room } from '../../lib/images/room.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('room for pictures', function () {
  this.timeout(120_000);

  it('is given in order, and no more than there is', async () => {
    const room = new Room(10);
    const holds = [room.open(), room.open(), room.open()] as const;
    await holds[0].resize(6);
    const order: number[] = [];
    const second = holds[1].resize(5).then(() => order.push(2));
    const third = holds[2].resize(1).then(() => order.push(3));
    await turn();
    assert.deepEqual([order, room.isTight], [[], true]);
    await holds[0].resize(5);
    await second;
    assert.deepEqual([order, room.isTight], [[2], true]);
    holds[0].release();
    await third;
    assert.deepEqual([order, room.isTight, room.most], [[2, 3], false, 10]);
  });

  it('is given to one larger picture alone, and to one of those that all wait for more', async () => {
    const room = new Room(10);
    const [first, second] = [room.open(), room.open()];
    await first.resize(25);
    first.release();
    await first.resize(5);
    await second.resize(5);
    let tight = 0;
    const stop = room.onTight(() => tight++);
    const [one, other] = [first.resize(9), second.resize(9)];
    await one;
    await turn();
    assert.deepEqual([first.bytes, second.bytes, room.isTight], [9, 5, true]);
    first.release();
    await other;
    stop();
    assert.deepEqual([second.bytes, room.isTight, tight], [9, false, 2]);
  });

  it('bounds what a detector decodes ahead, in detectAll and detect, of files and of raw pictures', async () => {
    const side = 300;
    const bytes = 3 * side * side;
    const png = await sharp({ create: { width: side, height: side, channels: 3, background: 'grey' } })
      .png()
      .toBuffer();
    const raw = { data: new Uint8Array(bytes), width: side, height: side, channels: 3 } as const;
    await using detector = await Detector.load('digits', { device: 'cpu', threads: 1 });
    const usual = ahead.limit;
    for (const [limit, expected] of [
      [3.5 * bytes, 3.5 * bytes],
      [0.5 * bytes, bytes], // each passes alone
    ] as const) {
      ahead.limit = limit;
      ahead.most = 0;
      try {
        let count = 0;
        const pictures = Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? png : raw));
        for await (const result of detector.detectAll(pictures, { concurrency: 24, batchSize: 8 })) count += 'error' in result ? 0 : 1;
        assert.equal(count, 24);
        assert.equal((await detector.detect(pictures)).length, 24);
        assert.ok(ahead.most > 0 && ahead.most <= expected + png.length, `${ahead.most} bytes with a limit of ${limit}`);
      } finally {
        ahead.limit = usual;
      }
    }
    assert.ok(!ahead.isTight);
  });

  it('has a picture and its scaled copy while both are there', async () => {
    const room = new Room(1e6);
    const hold = room.open();
    await decodeImage({ data: new Uint8Array(300), width: 10, height: 10, channels: 3 }, 1e6, { hold, scale: 2 });
    assert.deepEqual([room.most, hold.bytes], [300 + 1200, 1200]);
  });

  it('is no trap for streams, which have their bytes before their turn to be decoded comes', async () => {
    const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
    const png = await sharp({ create: { width: 200, height: 200, channels: 3, background: 'grey', noise } })
      .png()
      .toBuffer();
    const usual = ahead.limit;
    ahead.limit = 10 * png.length;
    try {
      const one = async (): Promise<number> => {
        const hold = ahead.open();
        const { width } = await decodeImage(Readable.from([png]), 1e6, { hold });
        hold.release();
        return width;
      };
      assert.deepEqual(await Promise.all(Array.from({ length: 40 }, one)), Array<number>(40).fill(200));
    } finally {
      ahead.limit = usual;
    }
  });
});
