// What a job's outcomes add up to, and which of its pictures the report shows.
import type { Entry } from '../inputs/entry.js';
import { seedOf } from '../random.js';
import type { PictureOutcome, ResultRecord } from './outcome.js';

/** Pictures of a kind that are shown at most. */
const sheetLength = 8;
/** Steps of the scores' distribution. */
export const scoreBins = 20;

export interface Shown {
  readonly entry: Entry;
  readonly outcome: PictureOutcome;
}

/** A reservoir sample: a fair choice of a stream, the same for the same stream. */
class Reservoir {
  readonly chosen: Shown[] = [];
  #seen = 0;

  offer(one: Shown): void {
    this.#seen++;
    if (this.chosen.length < sheetLength) {
      this.chosen.push(one);
      return;
    }
    const place = seedOf(this.#seen) % this.#seen;
    if (place < sheetLength) this.chosen[place] = one;
  }
}

function topScore(record: ResultRecord): number {
  return record.detections[0]?.score ?? 0;
}

/** Takes every outcome, holds some pictures' only. */
export class Tally {
  /** By code. */
  readonly errors = new Map<string, number>();
  /** Objects by class. */
  readonly classes = new Map<string, number>();
  readonly scores = new Array<number>(scoreBins).fill(0);
  detections = 0;
  readonly random = new Reservoir();
  readonly none = new Reservoir();
  readonly failed = new Reservoir();
  best: { entry: Entry; outcome: ResultRecord }[] = [];

  add(entry: Entry, outcome: PictureOutcome): void {
    if ('error' in outcome) {
      this.errors.set(outcome.error.code, (this.errors.get(outcome.error.code) ?? 0) + 1);
      this.failed.offer({ entry, outcome });
      return;
    }
    for (const { label, score } of outcome.detections) {
      this.detections++;
      this.classes.set(label, (this.classes.get(label) ?? 0) + 1);
      const bin = Math.min(scoreBins - 1, Math.floor(score * scoreBins));
      this.scores[bin] = (this.scores[bin] ?? 0) + 1;
    }
    if (outcome.detections.length === 0) this.none.offer({ entry, outcome });
    else this.#offerBest(entry, outcome);
    this.random.offer({ entry, outcome });
  }

  #offerBest(entry: Entry, outcome: ResultRecord): void {
    if (this.best.length === sheetLength && topScore(outcome) <= topScore((this.best.at(-1) as { outcome: ResultRecord }).outcome)) return;
    this.best = [...this.best, { entry, outcome }].sort((a, b) => topScore(b.outcome) - topScore(a.outcome)).slice(0, sheetLength);
  }
}
