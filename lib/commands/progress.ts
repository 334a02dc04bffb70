// How far a command is: a line on standard error that is drawn anew where that is a terminal.
import { Presets, SingleBar } from 'cli-progress';
import { Option } from 'commander';

import type { BatchProgress } from '../jobs/types.js';
import type { TrainProgress } from '../train/types.js';
import { printMade, tell } from './terminal.js';

/** How a batch or a training shows its progress. */
export type ProgressStyle = 'auto' | 'json' | 'none';

export function progressOption(): Option {
  return new Option('--progress <style>', 'auto (a bar, or a line every few seconds), json (an event a line on standard output) or none')
    .choices(['auto', 'json', 'none'])
    .default('auto');
}

/** The other commands' word for it. */
export function quietOption(): Option {
  return new Option('-q, --quiet', 'as --progress none').implies({ progress: 'none' });
}

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

interface Shower<T> {
  readonly show: (progress: T) => void;
  readonly stop: () => void;
}

interface Steps {
  readonly done: number;
  readonly total: number;
}

/** A bar on a terminal, else a line every few seconds; 'json' writes an event a line to standard output. */
function showProgress<T extends object>(style: ProgressStyle, lineOf: (progress: T) => string, stepsOf: (progress: T) => Steps): Shower<T> {
  if (style === 'none') return { show: () => undefined, stop: () => undefined };
  const isLast = (progress: T): boolean => stepsOf(progress).done >= stepsOf(progress).total;
  if (style === 'json') {
    const show = (progress: T): void => printMade(JSON.stringify({ event: 'progress', ...progress }));
    return { show: atMostEvery(1_000, show, isLast), stop: () => undefined };
  }
  if (!process.stderr.isTTY) {
    return { show: atMostEvery(lineMs, (progress: T) => tell(lineOf(progress)), isLast), stop: () => undefined };
  }
  const bar = new SingleBar({ format: '{bar} {line}', stream: process.stderr }, Presets.shades_classic);
  let begun = false;
  return {
    show: (progress) => {
      const { done, total } = stepsOf(progress);
      if (!begun) bar.start(total, done, { line: '' });
      begun = true;
      bar.update(done, { line: lineOf(progress) });
    },
    stop: () => bar.stop(),
  };
}

/** Progress of a batch. */
export function showBatchProgress(style: ProgressStyle): Shower<BatchProgress> {
  return showProgress<BatchProgress>(style, progressLine, ({ done, failed, total }) => ({ done: done + failed, total }));
}

function trainLine({ iteration, iterations, epoch, loss, picturesPerSecond, secondsLeft, AP }: TrainProgress): string {
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  const precision = AP === undefined ? '' : `, AP ${AP.toFixed(3)}`;
  return `step ${iteration} of ${iterations}, epoch ${epoch}, loss ${loss.toFixed(3)}${precision}, ${picturesPerSecond.toFixed(1)} pictures/s${left}`;
}

/** Progress of a training. */
export function showTrainProgress(style: ProgressStyle): Shower<TrainProgress> {
  return showProgress<TrainProgress>(style, trainLine, ({ iteration: done, iterations: total }) => ({ done, total }));
}

export interface Progress extends Disposable {
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
    [Symbol.dispose]: stop,
  };
}

/** The last one, when all is done, is always shown. */
function atMostEvery<T>(milliseconds: number, show: (progress: T) => void, isLast: (progress: T) => boolean): (progress: T) => void {
  let last = -Infinity;
  return (progress) => {
    const now = performance.now();
    if (now - last < milliseconds && !isLast(progress)) return;
    last = now;
    show(progress);
  };
}
