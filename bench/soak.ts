// npx tsx bench/soak.ts [--weights ID|FILE] [--largest N] [--every N]: many pictures of mixed sizes; memory must stay on a plateau, the loop free.
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import sharp from 'sharp';

import { noisePicture } from '../lib/bench/model.js';
import { loopDelayOf, loopResolution } from '../lib/bench/pipeline.js';
import { Detector } from '../lib/index.js';
import { random } from '../test/support/batch.js';
import { run, wholeNumber, type Candidate } from './harness.js';

const smallest = 63; // pixels a side
const allowedGrowth = 1.05;
const allowedDelay = 20; // milliseconds, p99

async function writePictures(folder: string, largest: number): Promise<string[]> {
  const next = random(7);
  const side = (): number => smallest + Math.floor(next() * (largest - smallest + 1));
  return Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const { data, width, height } = noisePicture({ width: side(), height: side() }, i);
      const file = join(folder, `${i}.jpg`);
      await sharp(data, { raw: { width, height, channels: 3 } }).blur(3).jpeg().toFile(file); // prettier-ignore
      return file;
    }),
  );
}

function assertPlateau(memory: readonly number[], delay: number): void {
  if (memory.length < 2) throw new Error('a plateau takes two rounds at least');
  const half = memory.length >> 1;
  const [early, late] = [memory.slice(memory.length / 10, half), memory.slice(half)].map((part) => Math.max(...part) / 1e6) as [
    number,
    number,
  ];
  console.log(`memory: at most ${early.toFixed(0)} MB before the middle, ${late.toFixed(0)} MB after`);
  if (late > early * allowedGrowth) throw new Error(`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MB`);
  if (delay > allowedDelay) throw new Error(`the loop's p99 delay is ${delay.toFixed(1)} ms, above ${allowedDelay}`);
}

void run({
  kind: 'soak',
  insideTheClock:
    'so many JPEG files of 40 sizes, in an order drawn from a seed, through Detector.detectAll to result objects. Memory: the largest resident size of the ' +
    'whole process. Plateau: the largest of the last half may exceed the largest between a tenth and a half by 5%; before that, sizes are seen for the ' +
    'first time. Loop delay: the 99th percentile since the start, loading included, beyond its own timer’s 10 ms. Forwards, views: since the start.',
  options: { weights: 'digits', largest: '903', every: '250' },
  rounds: 20,
  warmUpRounds: 0,
  onceOnly: true,
  prepare: (values, folder) => {
    const [every, largest] = [wholeNumber('every', values.every), wholeNumber('largest', values.largest, smallest)];
    const histogram = monitorEventLoopDelay({ resolution: loopResolution });
    const memory: number[] = [];
    const ours = async (): Promise<Candidate> => {
      const files = await writePictures(folder, largest);
      histogram.enable();
      const detector = await Detector.load(values.weights);
      const next = random(11);
      const results = detector.detectAll((function* () { for (;;) yield files[Math.floor(next() * files.length)] as string; })()); // prettier-ignore
      const turn = async () => {
        const begin = performance.now();
        let memoryBytes = 0;
        for (let i = 0; i < every; i++) {
          const { value: result } = await results.next();
          if (result && 'error' in result) throw result.error;
          memoryBytes = Math.max(memoryBytes, process.memoryUsage.rss());
        }
        memory.push(memoryBytes);
        const seconds = (performance.now() - begin) / 1000;
        const { forwards, views } = detector.stats;
        return { seconds, memoryBytes, loopDelaySeconds: loopDelayOf(histogram).p99 / 1000, forwards, views };
      };
      const close = async () => {
        histogram.disable();
        await results.return(undefined);
        await detector.close();
      };
      return { turn, close };
    };
    return {
      cases: {
        soak: () => ({ setting: `${values.weights}, ${every} pictures a turn, ${smallest} to ${largest} px a side`, candidates: { ours } }),
      },
      check: () => assertPlateau(memory, loopDelayOf(histogram).p99),
    };
  },
});
