// This package as a peer: ours.ts PRECISION CHECKPOINT PIXELS WIDTH HEIGHT FLIP DEVICE THREADS BATCH [JPEG]. Each line in is one batch; out come JSON lines.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Detector, type Device, type Precision } from '../../lib/index.js';
import { loadNative } from '../../lib/native.js';

function peakBytes(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

/** The same every n-th logits as peer.py takes. */
function sampleOf(values: Float32Array): number[] {
  const step = Math.max(1, Math.floor(values.length / 1000));
  return Array.from({ length: Math.min(1000, Math.ceil(values.length / step)) }, (_, i) => Number(values[i * step]?.toFixed(4)));
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

async function main(): Promise<void> {
  const [precision, file = '', pixels = '', width, height, flip, device, threads, batch, jpeg] = process.argv.slice(2);
  const picture = { data: readFileSync(pixels), width: Number(width), height: Number(height), channels: 3 as const };
  const detector = await Detector.load(file, {
    device: device as Device,
    precision: precision as Precision,
    threads: Number(threads),
    flip: flip === 'flip',
    batchSize: Number(batch),
  });
  const pictures = Array.from({ length: Number(batch) }, () => picture);
  await detector.detect(pictures);
  const peak = peakBytes();
  const { tlHeat } = await detector.heads(picture);
  const version = `cornernet ${(JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string }).version}`;
  const libtorch = loadNative().buildInfo().libtorchVersion;
  console.log(JSON.stringify({ version: `${version} (LibTorch ${libtorch})`, peakBytes: peak, sample: sampleOf(tlHeat.values) }));

  /** A decoded picture ahead of the network, as detectAll keeps it, and each result written as a line of JSON. */
  const whole = async (files: string[]): Promise<void> => {
    const out = join(tmpdir(), `cornernet-peers-${process.pid}.jsonl`);
    const lines: string[] = [];
    for await (const result of detector.detectAll(files)) lines.push(JSON.stringify(result));
    writeFileSync(out, lines.join('\n'));
    rmSync(out);
  };
  for await (const line of createInterface(process.stdin)) {
    const files = Array.from({ length: Number(line.split(' ')[1] ?? 1) }, () => jpeg ?? '');
    if (line.startsWith('whole')) {
      console.log(JSON.stringify({ seconds: (await timed(() => whole(files))) / files.length }));
    } else {
      const networks: number[] = [];
      const seconds = await timed(async () => {
        for (const { timings } of await detector.detect(pictures, { timings: true })) networks.push(timings?.network ?? NaN);
      });
      console.log(JSON.stringify({ seconds, networkSeconds: (networks[0] ?? NaN) / 1000 })); // one forward for all
    }
  }
  await detector.close();
}

void main();
