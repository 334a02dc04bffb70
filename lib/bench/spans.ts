// Stages as spans of time: how long each was busy, and how many pictures were in it.
import type { Timings } from '../detector/timings.js';
import type { Stage } from './schema.js';

export interface Span {
  readonly begin: number;
  readonly end: number;
}

const timed = ['decode', 'wait', 'prepare', 'network', 'corners', 'nms'] as const;
export const stages: readonly Stage[] = [...timed, 'write'];

/** A picture's stages up to its result, one after the other on the clock of performance.now(). */
export function spansOf(timings: Timings): Map<Stage, Span> {
  let at = timings.start;
  return new Map(timed.map((stage) => [stage, { begin: at, end: (at += timings[stage]) }]));
}

/** What of a span lies within another; undefined for nothing. */
export function clip(span: Span, within: Span): Span | undefined {
  const begin = Math.max(span.begin, within.begin);
  const end = Math.min(span.end, within.end);
  return begin < end ? { begin, end } : undefined;
}

/** The time that at least one of the spans covers. */
export function covered(spans: readonly Span[]): number {
  let sum = 0;
  let reached = -Infinity;
  for (const { begin, end } of [...spans].sort((a, b) => a.begin - b.begin)) {
    if (end > reached) sum += end - Math.max(begin, reached);
    reached = Math.max(reached, end);
  }
  return sum;
}
