// A result depends on its picture alone: not on batch mates, batch size, threads or replicas.
import { join } from 'node:path';

import { Detector, type DetectionResult } from '../../lib/index.js';
import { fixtures } from '../environment.js';
import { assertSameResults } from './reference.js';

const photos = ['chelsea.png', 'coffee.png', 'odd127.png', 'astronaut.png'].map((name) => join(fixtures, 'photos', name));
const digits = ['0000', '0001', '0002', '0003', '0004', '0005', '0006', '0007'].map((name) =>
  join(fixtures, 'digits', 'val', `${name}.jpg`),
);
const pictures = [...digits.slice(0, 4), ...photos, ...digits.slice(4)];
const options = { device: 'cpu', precision: 'fp32', scoreThreshold: 0.05, flip: true } as const;

async function streamed(detector: Detector, batchSize: number | 'auto'): Promise<DetectionResult[]> {
  const results: DetectionResult[] = [];
  for await (const result of detector.detectAll(pictures, { batchSize, concurrency: 12 })) {
    if ('error' in result) throw result.error;
    results.push(result);
  }
  return results;
}

describe('invariance', function () {
  this.timeout(120_000);
  let alone: DetectionResult[];
  before(async () => {
    await using detector = await Detector.load('digits', { ...options, threads: 1 });
    alone = [];
    for (const picture of pictures) alone.push(await detector.detect(picture));
  });

  it('one call with pictures of mixed sizes', async () => {
    await using detector = await Detector.load('digits', options);
    assertSameResults(await detector.detect(pictures), alone);
  });

  for (const batchSize of [1, 3, 8, 'auto'] as const) {
    it(`a stream in batches of up to ${batchSize}, two threads`, async () => {
      await using detector = await Detector.load('digits', { ...options, threads: 2 });
      assertSameResults(await streamed(detector, batchSize), alone);
    });
  }

  for (const [replicas, batchSize] of [
    [2, 2],
    [3, 1],
  ] as const) {
    it(`${replicas} replicas, batches of up to ${batchSize}`, async () => {
      const device = Array.from({ length: replicas }, () => 'cpu' as const);
      await using detector = await Detector.load('digits', { ...options, device, threads: 1 });
      assertSameResults(await streamed(detector, batchSize), alone);
    });
  }
});
