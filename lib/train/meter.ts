// How fast a training goes.
import type { TrainProgress } from './types.js';

const windowMs = 30_000;

export class TrainMeter {
  AP: number | undefined;
  readonly #iterations: number;
  readonly #epochLength: number;
  readonly #report: ((progress: TrainProgress) => void) | undefined;
  /** Ends of steps in the window: when, and how many pictures there were so far. */
  #recent: { readonly time: number; readonly pictures: number; readonly iteration: number }[] = [];
  #pictures = 0;

  constructor(iterations: number, epochLength: number, AP: number | undefined, report: ((progress: TrainProgress) => void) | undefined) {
    this.#iterations = iterations;
    this.#epochLength = epochLength;
    this.AP = AP;
    this.#report = report;
  }

  /** Forgets the time until the next step. */
  pause(): void {
    this.#recent = [];
  }

  /** A step is done. Gives pictures a second, 0 at the first. */
  count(iteration: number, pictures: number, loss: number, learningRate: number): number {
    const now = performance.now();
    this.#pictures += pictures;
    this.#recent.push({ time: now, pictures: this.#pictures, iteration });
    while (this.#recent.length > 2 && now - (this.#recent[1]?.time ?? now) > windowMs) this.#recent.shift();
    const [oldest] = this.#recent;
    const seconds = oldest ? (now - oldest.time) / 1000 : 0;
    const rate = (amount: number): number => (seconds > 0 ? amount / seconds : 0);
    const picturesPerSecond = rate(this.#pictures - (oldest?.pictures ?? 0));
    const stepsPerSecond = rate(iteration - (oldest?.iteration ?? 0));
    this.#report?.({
      iteration,
      iterations: this.#iterations,
      epoch: 1 + Math.floor((iteration - 1) / this.#epochLength),
      loss,
      learningRate,
      picturesPerSecond,
      secondsLeft: stepsPerSecond > 0 ? (this.#iterations - iteration) / stepsPerSecond : null,
      ...(this.AP !== undefined && { AP: this.AP }),
    });
    return picturesPerSecond;
  }
}
