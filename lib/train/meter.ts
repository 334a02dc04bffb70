// How fast a training goes.
import { RecentRate } from '../recent-rate.js';
import type { TrainProgress } from './types.js';

export class TrainMeter {
  AP: number | undefined;
  readonly #iterations: number;
  readonly #epochLength: number;
  readonly #report: ((progress: TrainProgress) => void) | undefined;
  readonly #pictureRate = new RecentRate();
  readonly #stepRate = new RecentRate();
  #pictures = 0;

  constructor(iterations: number, epochLength: number, AP: number | undefined, report: ((progress: TrainProgress) => void) | undefined) {
    this.#iterations = iterations;
    this.#epochLength = epochLength;
    this.AP = AP;
    this.#report = report;
  }

  /** The next step begins, after so many; what was done before it, such as a validation, counts in no rate. */
  restart(iteration: number): void {
    this.#pictureRate.restart(this.#pictures);
    this.#stepRate.restart(iteration);
  }

  /** A step is done. Gives pictures a second. */
  count(iteration: number, pictures: number, loss: number, learningRate: number): number {
    this.#pictures += pictures;
    this.#pictureRate.add(this.#pictures);
    this.#stepRate.add(iteration);
    const picturesPerSecond = this.#pictureRate.perSecond(this.#pictures);
    const stepsPerSecond = this.#stepRate.perSecond(iteration);
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
