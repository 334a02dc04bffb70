// How far a command is: a line on standard error that is drawn anew where that is a terminal.
import { Presets, SingleBar } from 'cli-progress';

import type { BatchProgress } from '../jobs/types.js';
import { printMade, tell } from './terminal.js';

/** How a batch shows its progress. */
export type ProgressStyle = 'auto' | 'json' | 'none';

const lineMs = 5_000;

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

function progressLine({ done, failed, total, rate, secondsLeft }: BatchProgress): string {
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  return `${done + failed} of ${total} pictures, ${rate.toFixed(1)}/s, ${failed} failed${left}`;
}

/** Progress of a batch: a bar on a terminal, else a line every few seconds; 'json' writes an event a line to standard output. */
export function showBatchProgress(style: ProgressStyle): { show: (progress: BatchProgress) => void; stop: () => void } {
  if (style === 'none') return { show: () => undefined, stop: () => undefined };
  if (style === 'json') {
    const show = (progress: BatchProgress): void => printMade(JSON.stringify({ event: 'progress', ...progress }));
    return { show: atMostEvery(1_000, show), stop: () => undefined };
  }
  if (!process.stderr.isTTY) return { show: atMostEvery(lineMs, (progress) => tell(progressLine(progress))), stop: () => undefined };
  const bar = new SingleBar({ format: '{bar} {line}', stream: process.stderr }, Presets.shades_classic);
  let begun = false;
  return {
    show: (progress) => {
      const ended = progress.done + progress.failed;
      if (!begun) bar.start(progress.total, ended, { line: '' });
      begun = true;
      bar.update(ended, { line: progressLine(progress) });
    },
    stop: () => bar.stop(),
  };
}

export interface Progress {
  advance(failed: boolean): void;
  stop(): void;
}

/** A bar of pictures that are counted one by one; nothing where no one looks. */
export function countedProgress(total: number, quiet: boolean): Progress {
  const { show, stop } = showBatchProgress(quiet || !process.stderr.isTTY ? 'none' : 'auto');
  const started = performance.now();
  let [done, failed] = [0, 0];
  return {
    advance: (one) => {
      if (one) failed++;
      else done++;
      const rate = (1000 * (done + failed)) / (performance.now() - started);
      show({ done, failed, total, rate, secondsLeft: (total - done - failed) / rate });
    },
    stop,
  };
}

/** The last one, when all is done, is always shown. */
function atMostEvery(milliseconds: number, show: (progress: BatchProgress) => void): (progress: BatchProgress) => void {
  let last = -Infinity;
  return (progress) => {
    const now = performance.now();
    if (now - last < milliseconds && progress.done + progress.failed < progress.total) return;
    last = now;
    show(progress);
  };
}
