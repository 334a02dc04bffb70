// npx tsx bench/stress.ts [--device cuda|cpu] [--seconds N]: what is hard on a device, all at once, and whether results stay what they are.
// Two detectors with sizes never seen before, one recording its forwards and one not, in batches and one by one; others that are loaded and closed beside
// their calls; pictures that memory may not hold.
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { Detector, type LoadOptions, type RawImage } from '../lib/index.js';
import { fixtures } from '../test/environment.js';
import { assertSameResults } from '../test/parity/reference.js';
import { random } from '../test/support/batch.js';

const { values } = parseArgs({ options: { device: { type: 'string', default: 'cuda' }, seconds: { type: 'string', default: '60' } } });
const device = values.device as LoadOptions['device'];
const batch = 8;
/** Pixels a side: of pictures that are compared, and of those that are too many together. */
const [smallest, largest, huge] = device === 'cpu' ? [63, 400, 1200] : [63, 900, 4000];

const next = random(7);
const names = ['chelsea.png', 'coffee.png', 'astronaut.png'].map((name) => join(fixtures, 'photos', name));

async function picture(width: number, height: number): Promise<RawImage> {
  const file = names[Math.floor(next() * names.length)];
  const data = await sharp(file).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer();
  return { data, width, height, channels: 3 };
}

const side = (): number => smallest + Math.floor(next() * (largest - smallest));

async function main(): Promise<void> {
  const end = performance.now() + 1000 * Number(values.seconds);
  const goesOn = (): boolean => performance.now() < end;
  const options = { device, precision: 'fp32', flip: true, scoreThreshold: 0.05 } as const;
  await using recording = await Detector.load('digits', options);
  await using plain = await Detector.load('digits', { ...options, cudaGraphs: false });
  const counts = { compared: 0, loads: 0, large: 0, refused: 0 };

  const compare = async (): Promise<void> => {
    while (goesOn()) {
      const pictures = await Promise.all(Array.from({ length: batch }, () => picture(side(), side())));
      const [together, ...alone] = await Promise.all([recording.detect(pictures), ...pictures.map((one) => plain.detect(one))]);
      assertSameResults(together, alone);
      counts.compared += batch;
    }
  };
  const load = async (): Promise<void> => {
    while (goesOn()) {
      await using other = await Detector.load('digits', { device });
      await other.detect(await picture(side(), side()));
      counts.loads++;
    }
  };
  const exhaust = async (): Promise<void> => {
    while (goesOn()) {
      const one = await picture(huge, huge);
      for await (const result of recording.detectAll(Array<RawImage>(batch).fill(one), { batchSize: batch })) {
        if (!('error' in result)) counts.large++;
        else if (result.error.code === 'ERR_OUT_OF_MEMORY') counts.refused++;
        else throw result.error;
      }
    }
  };
  await Promise.all([compare(), load(), exhaust()]);
  for (const detector of [recording, plain]) {
    const { failedDevices, warnings } = detector.stats;
    if (failedDevices.length > 0) throw new Error(`a device failed: ${warnings.join('; ')}`);
  }
  console.log(
    `${counts.compared} pictures compared, all alike; ${counts.loads} detectors loaded beside them; ${counts.large} pictures of ${huge}x${huge} computed, ${counts.refused} refused for memory`,
  );
  for (const warning of recording.stats.warnings) console.log(warning);
}

void main();
