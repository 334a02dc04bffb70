// A progress line on standard error, where that is a terminal.
import { Presets, SingleBar } from 'cli-progress';

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
