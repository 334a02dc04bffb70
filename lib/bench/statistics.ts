// Numbers about numbers: percentiles, mean, deviation, spread.
import type { Summary } from './schema.js';

/** The value below which `fraction` of the sorted values lie, interpolated between neighbours (as numpy's default). NaN of none. */
export function percentile(sorted: ArrayLike<number>, fraction: number): number {
  const place = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return below + (above - below) * (place - Math.floor(place));
}

export function sorted(values: Iterable<number>): number[] {
  return [...values].sort((a, b) => a - b);
}

export function median(values: Iterable<number>): number {
  return percentile(sorted(values), 0.5);
}

/** Of at least one value. */
export function summarize(values: Iterable<number>): Summary {
  const inOrder = sorted(values);
  const count = inOrder.length;
  const mean = inOrder.reduce((sum, value) => sum + value, 0) / count;
  const squares = inOrder.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const at = (fraction: number): number => percentile(inOrder, fraction);
  return {
    count,
    mean,
    deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : 0,
    min: at(0),
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    max: at(1),
  };
}

/** Largest less smallest, as a fraction of the median; 0 for fewer than two values. */
export function relativeSpread(values: readonly number[]): number {
  if (values.length < 2) return 0;
  return (Math.max(...values) - Math.min(...values)) / median(values);
}
