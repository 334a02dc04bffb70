// The learning rate of each iteration, by mmengine's own recurrences (LinearLR and MultiStepLR), to the last digit.

export interface Schedule {
  /** After the warm-up. */
  readonly rate: number;
  /** Iterations over which it rises linearly from a third; one is too few to rise in, and none. */
  readonly warmup: number;
  /** From which iteration on it is multiplied by what. */
  readonly milestones: readonly (readonly [iteration: number, factor: number])[];
}

const startFactor = 1 / 3;

/** The rates of iteration 0, 1, 2, ... */
export function* learningRates({ rate, warmup, milestones }: Schedule): Generator<number, never> {
  // In mmengine each rate is made of the one before, roundings included.
  const rises = warmup - 1;
  let now = rises > 0 ? rate * startFactor : rate;
  for (let iteration = 0; ; iteration++) {
    if (iteration > 0 && iteration <= rises) {
      now *= 1 + (1 - startFactor) / (rises * startFactor + (iteration - 1) * (1 - startFactor));
    }
    for (const [at, factor] of milestones) if (iteration === at) now *= factor;
    yield now;
  }
}
