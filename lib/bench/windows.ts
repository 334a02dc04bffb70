// Measuring until it stands still: warm-up, then windows of time until the last three agree.
import type { Disturbance, Series, Window } from './schema.js';
import { median, relativeSpread, summarize } from './statistics.js';

/** How long to measure. */
export interface Rule {
  readonly windowSeconds: number;
  /** The medians of the last three windows may spread so much, as a fraction. */
  readonly stableWithin: number;
  /** Then it ends even if they don't agree; also the most that warming up takes. */
  readonly limitSeconds: number;
}

const windowsThatAgree = 3;

/** Whether the last three medians spread no more than `within`. */
export function agree(medians: readonly number[], within: number): boolean {
  return medians.length >= windowsThatAgree && relativeSpread(medians.slice(-windowsThatAgree)) <= within;
}

function isClean({ disturbance }: Window): boolean {
  return disturbance.reasons.length === 0;
}

/** What counts of windows and their values. */
export function toSeries(
  measured: readonly { window: Window; values: readonly number[] }[],
  rule: Pick<Rule, 'stableWithin'>,
  warmUpCalls: number,
): Series {
  const clean = measured.filter(({ window }) => isClean(window));
  const counted = clean.length > 0 ? clean : measured;
  const values = counted.flatMap((one) => one.values);
  return {
    summary: summarize(values),
    values,
    windows: measured.map(({ window }) => window),
    stable: agree(
      counted.map(({ window }) => window.median),
      rule.stableWithin,
    ),
    undisturbed: clean.length > 0,
    warmUpCalls,
  };
}

/** Why its figures may say nothing. */
export function doubtsOf({ stable, undisturbed }: Series): string[] {
  return [...(stable ? [] : ['not stable']), ...(undisturbed ? [] : ['disturbed'])];
}

function counts({ undisturbed }: Series, window: Window): boolean {
  return !undisturbed || isClean(window);
}

/** What the summary is made of. */
export function countedWindows(series: Series): Window[] {
  return series.windows.filter((window) => counts(series, window));
}

/** Which calls, warming up included, the summary is made of. */
export function countedCalls(series: Series): number[] {
  const { windows, warmUpCalls } = series;
  const counted: number[] = [];
  let first = warmUpCalls;
  for (const window of windows) {
    if (counts(series, window)) for (let i = 0; i < window.count; i++) counted.push(first + i);
    first += window.count;
  }
  return counted;
}

/** Begins to watch the machine; the returned function ends it and says what it saw. */
export type Watch = () => Promise<() => Promise<Disturbance>>;

/**
 * Calls alike until a GPU does each as it will do all that follow: the engine begins a size picture by picture, searches the fastest kernels when a
 * batch has come 65 times in a row (csrc/engine/forward_policy.cpp), which takes seconds, and then records them.
 */
const callsUntilSearched = 80;

/** How many calls `device` ('cpu' or 'cuda:N') takes at least to warm up. */
export function leastWarmUpCalls(device: string): number {
  return device === 'cpu' ? 0 : callsUntilSearched;
}

/** Calls, `least` of them at least, until the last three took the same within 10%, or the limit is reached. Returns how many. */
async function warmUp(call: () => Promise<number>, rule: Rule, least: number, now: () => number): Promise<number> {
  const times: number[] = [];
  while (times.length < least) times.push(await call());
  const begin = now();
  while (!agree(times, 0.1) && now() - begin < 1000 * rule.limitSeconds) times.push(await call());
  return times.length;
}

/**
 * Measures `call`, which returns the value of one call, after warming up.
 * @param leastWarmUp calls.
 * @param now milliseconds.
 */
export async function measure(
  call: () => Promise<number>,
  rule: Rule,
  watch: Watch,
  leastWarmUp = 0,
  now: () => number = () => performance.now(),
): Promise<Series> {
  const warmUpCalls = await warmUp(call, rule, leastWarmUp, now);
  const measured: { window: Window; values: number[] }[] = [];
  const begin = now();
  for (;;) {
    const end = await watch();
    const windowBegin = now();
    const values: number[] = [];
    while (values.length === 0 || now() - windowBegin < 1000 * rule.windowSeconds) values.push(await call());
    const seconds = (now() - windowBegin) / 1000;
    measured.push({ window: { seconds, median: median(values), count: values.length, disturbance: await end() }, values });
    const series = toSeries(measured, rule, warmUpCalls);
    if ((series.stable && series.undisturbed) || now() - begin > 1000 * rule.limitSeconds) return series;
  }
}
