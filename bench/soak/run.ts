// npx tsx bench/soak/run.ts [--pictures N] [--weights ID|FILE] [--largest N] [--every N]: many pictures of mixed sizes; memory must stay on a plateau, the loop free.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { describeMachine } from '../../lib/bench/machine.js';
import { noisePicture } from '../../lib/bench/model.js';
import { Detector } from '../../lib/index.js';

const explanation = `Inside: loading the weights, then JPEG files of 40 sizes, 63 pixels to the largest a side, in an order drawn from a seed, through
Detector.detectAll to result objects. Memory: resident size of the whole process. Plateau: the largest of the last half may exceed the largest
between a tenth and a half by 5%; before that, sizes are seen for the first time. Loop delay: beyond its own timer's 10 ms, load included.`;

const smallest = 63; // pixels a side
const resolution = 10; // milliseconds
const allowedGrowth = 1.05;
const allowedDelay = 20; // milliseconds, p99

/** Whole numbers from `first` to `last` in a sequence that does not repeat soon. */
function sequence(seed: number, first: number, last: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return first + ((state >>> 8) % (last - first + 1));
  };
}

async function writePictures(folder: string, largest: number): Promise<string[]> {
  const side = sequence(7, smallest, largest);
  return Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const { data, width, height } = noisePicture({ width: side(), height: side() }, i);
      const file = join(folder, `${i}.jpg`);
      await sharp(data, { raw: { width, height, channels: 3 } })
        .blur(3)
        .jpeg()
        .toFile(file);
      return file;
    }),
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pictures: { type: 'string', default: '5000' },
      weights: { type: 'string', default: 'digits' },
      largest: { type: 'string', default: '903' },
      every: { type: 'string', default: '250' },
    },
  });
  const [pictures, every, largest] = [Number(values.pictures), Number(values.every), Number(values.largest)];
  if (!(pictures >= 20 && every >= 1 && largest >= smallest)) {
    throw new Error(`--pictures must be at least 20, --every at least 1, --largest at least ${smallest}`);
  }
  const machine = await describeMachine();
  console.log(
    `${explanation}\n\n${machine.cpu}, ${machine.cores} cores, load ${machine.load[0]?.toFixed(1) ?? '?'}, LibTorch ${machine.libtorch}`,
  );
  const folder = await mkdtemp(join(tmpdir(), 'cornernet-soak-'));
  const histogram = monitorEventLoopDelay({ resolution });
  try {
    const files = await writePictures(folder, largest);
    histogram.enable();
    const begin = performance.now();
    await using detector = await Detector.load(values.weights);
    console.log(`${detector.device}, ${detector.precision}, ${detector.threads} threads, ${pictures} pictures`);
    const next = sequence(11, 0, files.length - 1);
    const stream = function* (): Generator<string> {
      for (let i = 0; i < pictures; i++) yield files[next()] as string;
    };
    const memory: number[] = [];
    for await (const result of detector.detectAll(stream())) {
      if ('error' in result) throw result.error;
      memory.push(process.memoryUsage.rss() / 1e6);
      if (memory.length % every === 0) {
        const rate = memory.length / ((performance.now() - begin) / 1000);
        console.log(`${memory.length} pictures, ${memory.at(-1)?.toFixed(0) ?? ''} MB, ${rate.toFixed(1)} pictures/s`);
      }
    }
    histogram.disable();
    const half = memory.length >> 1;
    const early = Math.max(...memory.slice(memory.length / 10, half));
    const late = Math.max(...memory.slice(half));
    const delay = (at: number): number => Math.max(0, histogram.percentile(at) / 1e6 - resolution);
    const delays = `p50 ${delay(50).toFixed(1)}, p99 ${delay(99).toFixed(1)}, longest ${(histogram.max / 1e6 - resolution).toFixed(1)} ms`;
    console.log(`memory: at most ${early.toFixed(0)} MB before the middle, ${late.toFixed(0)} MB after; loop delay ${delays}`);
    console.log(`forwards ${detector.stats.forwards}, views ${detector.stats.views}, pictures ${detector.stats.pictures}`);
    if (late > early * allowedGrowth) throw new Error(`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MB`);
    if (delay(99) > allowedDelay) throw new Error(`the loop's p99 delay is ${delay(99).toFixed(1)} ms, above ${allowedDelay}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
