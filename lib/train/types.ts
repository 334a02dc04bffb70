// What training tells its caller.

/** How far a training is. */
export interface TrainProgress {
  /** Steps that are done. */
  readonly iteration: number;
  readonly iterations: number;
  /** From 1. */
  readonly epoch: number;
  /** Of the last step: the sum of all losses. */
  readonly loss: number;
  readonly learningRate: number;
  /** Of the last half minute of steps. */
  readonly picturesPerSecond: number;
  /** Seconds until the end at this rate, without validations; null while there is none. */
  readonly secondsLeft: number | null;
  /** Of the last validation; absent before the first. */
  readonly AP?: number;
}

/** What became of a training. */
export interface TrainSummary {
  /** 'complete' when every step is done; 'stopped' can go on. */
  readonly state: 'complete' | 'stopped';
  readonly iteration: number;
  readonly iterations: number;
  /** Names by class id. */
  readonly classes: readonly string[];
  /** The checkpoint after the last step, with the optimizer's state. */
  readonly last: string;
  /** The checkpoint of the best validation; null without one. */
  readonly best: string | null;
  /** COCO's average precision of it. */
  readonly bestAP: number | null;
}

/** What may be heard and said while a training runs. */
export interface TrainControls {
  /** Ends at once: `train` rejects with the signal's reason; the last checkpoint saved stays. */
  readonly signal?: AbortSignal | undefined;
  /** Ends after the step that runs, saves, and resolves with the state 'stopped'. */
  readonly finish?: AbortSignal | undefined;
  /** Called after every step. */
  readonly onProgress?: ((progress: TrainProgress) => void) | undefined;
  /** Told what a person would want to know: what a checkpoint gave, pictures that are left out, average precision. */
  readonly onMessage?: ((text: string) => void) | undefined;
}
