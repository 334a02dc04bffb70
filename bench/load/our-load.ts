// One load as we do it, timed: our_load.ts FILE PRECISION. Prints JSON.
import { readFileSync, writeFileSync } from 'node:fs';

import { Detector } from '../../lib/index.js';
import { loadNative } from '../../lib/native.js';

function peakBytes(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

async function main(file: string, precision: 'fp32' | 'bf16'): Promise<void> {
  loadNative();
  writeFileSync('/proc/self/clear_refs', '5'); // the peak starts anew
  const idle = peakBytes();
  const start = process.hrtime.bigint();
  const detector = await Detector.load(file, { device: 'cpu', precision });
  const milliseconds = Number(process.hrtime.bigint() - start) / 1e6;
  console.log(JSON.stringify({ milliseconds, peakBytes: peakBytes() - idle }));
  await detector.close();
}

const [file, precision] = process.argv.slice(2);
void main(file ?? '', precision === 'bf16' ? 'bf16' : 'fp32');
