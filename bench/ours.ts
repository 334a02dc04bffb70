// This package as a candidate: ours.ts detect|evaluate|list|load|train SETTINGS. Ready, it prints a line of JSON; each line in is a turn, answered with
// its seconds.
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { BenchTrainer, type TrainCase } from '../lib/bench/train.js';
import { leastWarmUpCalls } from '../lib/bench/windows.js';
import { readAnnotations, readDetections } from '../lib/coco/dataset.js';
import { evaluateChecked } from '../lib/coco/evaluate.js';
import { Detector, type LoadOptions } from '../lib/index.js';
import { listInputs } from '../lib/inputs/expand.js';
import { freezeList } from '../lib/jobs/list.js';
import { loadNative } from '../lib/native.js';

const seconds = (since: number): number => (performance.now() - since) / 1000;

async function serve(ready: object, work: (request: string) => Promise<object>): Promise<void> {
  console.log(JSON.stringify(ready));
  for await (const request of createInterface(process.stdin)) {
    const begin = performance.now();
    const more = await work(request);
    console.log(JSON.stringify({ seconds: seconds(begin), ...more }));
  }
}

async function evaluate({ annotations, detections }: { annotations: string; detections: string }): Promise<void> {
  await serve({}, async () => {
    const begin = performance.now();
    const truth = await readAnnotations(annotations);
    const found = await readDetections(detections);
    const read = performance.now();
    const { stats } = evaluateChecked(truth, found);
    return { readSeconds: (read - begin) / 1000, evaluateSeconds: seconds(read), AP: stats.AP };
  });
}

async function list({ list, folder }: { list: string; folder: string }): Promise<void> {
  await serve({}, async () => ({ inputs: await freezeList(folder, listInputs([list]), {}) }));
}

async function load({ file, precision }: { file: string } & Pick<LoadOptions, 'precision'>): Promise<void> {
  loadNative();
  await serve({}, async () => {
    await Detector.load(file, { device: 'cpu', precision });
    return {};
  });
}

export interface DetectSettings {
  readonly file: string;
  /** Raw RGB, and the JPEG file it comes from. */
  readonly pixels: string;
  readonly jpeg: string;
  readonly width: number;
  readonly height: number;
  readonly views: number;
  readonly device: string;
  readonly threads: number;
  readonly batch: number;
  /** Where the pictures are that int8 is calibrated with, as JPEG files and as raw RGB of the same names. */
  readonly calibration: string;
  /** Where the whole way writes to, in so many batches. */
  readonly output: string;
  readonly wholeWayBatches: number;
}

async function detect(settings: DetectSettings & Pick<LoadOptions, 'device' | 'precision'>): Promise<void> {
  const { file, device, precision, threads, width, height, views, batch, jpeg, output, wholeWayBatches } = settings;
  const picture = { data: readFileSync(settings.pixels), width, height, channels: 3 as const };
  const detector = await Detector.load(file, { device, precision, threads, flip: views === 2, batchSize: batch });
  const pictures = Array.from({ length: batch }, () => picture);
  for (let call = 0; call < Math.max(1, leastWarmUpCalls(detector.device)); call++) await detector.detect(pictures);
  const { values } = (await detector.heads(picture)).tlHeat;
  const step = Math.max(1, Math.floor(values.length / 1000)); // as theirs.py takes them
  const sample = Array.from({ length: Math.min(1000, Math.ceil(values.length / step)) }, (_, i) => values[i * step]);
  await serve({ sample }, async (request) => {
    if (request === 'run') {
      const [first] = await detector.detect(pictures, { timings: true });
      return { networkSeconds: (first?.timings?.network ?? NaN) / 1000 }; // one forward for all
    }
    // A decoded picture ahead of the network, as detectAll keeps it, and each result written as a line of JSON.
    const lines: string[] = [];
    const files = Array.from({ length: batch * wholeWayBatches }, () => jpeg);
    for await (const result of detector.detectAll(files)) lines.push(JSON.stringify(result));
    writeFileSync(output, lines.join('\n'));
    return {};
  });
}

async function train(settings: TrainCase): Promise<void> {
  const trainer = await BenchTrainer.begin(settings);
  await trainer.step();
  await serve({}, async () => {
    await trainer.step();
    return {};
  });
}

const [work = '', settings = ''] = process.argv.slice(2);
void { detect, evaluate, list, load, train }[work as 'detect'](JSON.parse(settings) as never);
