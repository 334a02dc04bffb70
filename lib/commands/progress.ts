// How far a command is: a line on standard error that is drawn anew where that is a terminal.
import { Presets, SingleBar } from 'cli-progress';

import type { BatchProgress } from '../jobs/types.js';

export interface Progress {
  advance(failed: boolean): void;
  stop(): void;
}

export function showProgress(total: number, quiet: boolean): Progress {
  if (quiet || !process.stderr.isTTY) return { advance: () => undefined, stop: () => undefined };
  let failures = 0;
  const bar = new SingleBar(
    { format: '{bar} {value}/{total} pictures, {rate}/s, {failures} failed, {eta_formatted} left', stream: process.stderr, etaBuffer: 50 },
    Presets.shades_classic,
  );
  const started = Date.now();
  let done = 0;
  bar.start(total, 0, { rate: '0.0', failures: 0 });
  return {
    advance: (failed) => {
      done++;
      failures += failed ? 1 : 0;
      bar.increment(1, { rate: (done / ((Date.now() - started) / 1000)).toFixed(1), failures });
    },
    stop: () => bar.stop(),
  };
}

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
    const show = (progress: BatchProgress): void => console.log(JSON.stringify({ event: 'progress', ...progress }));
    return { show: atMostEvery(1_000, show), stop: () => undefined };
  }
  if (!process.stderr.isTTY)
    return { show: atMostEvery(lineMs, (progress) => console.error(progressLine(progress))), stop: () => undefined };
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
