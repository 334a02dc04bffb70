// Training's benchmark: one step of a network that begins with drawn weights, and the memory that it takes.
import { atOnceFromNative, fromNative } from '../errors.js';
import { loadNative, type NativeSample, type NativeTrainer } from '../native.js';
import { memoryOf } from '../proc.js';
import { presets } from '../train/presets.js';
import { filled } from './cut.js';
import { watchMachine } from './disturbance.js';
import { describeMachine, forgetPeak } from './machine.js';
import { noisePicture } from './model.js';
import { reportHead, type TrainPrecision, type TrainReport, type TrainResult } from './schema.js';
import { measure, type Rule } from './windows.js';

export interface TrainCase {
  readonly network: TrainResult['network'];
  readonly device: string;
  readonly precision: TrainPrecision;
  readonly threads: number;
  /** Pixels of a side of what the network sees. */
  readonly size: number;
  readonly batch: number;
  readonly recompute: boolean;
}

export interface TrainBenchOptions {
  readonly cases: readonly TrainCase[];
  readonly rule: Rule;
  /** Told of each result as soon as it is there. */
  readonly tell?: (result: TrainResult) => void;
}

export const insideTheClock =
  'a step from the call with decoded RGB pictures in memory to the learned weights: bringing the pictures to their size (no augmentation), targets, ' +
  'forward, losses, backward, clipping, Adam. Decoding files, drawing the weights and warm-up are outside. ' +
  'Memory: the most that the process held of it (VmHWM), on a GPU of its memory (as LibTorch gives it out), with weights, optimizer and activations.';

/** COCO's number of classes. */
const classCount = 80;

/** A picture of noise with a few objects; where they are does not change a step's time. */
export function noiseSample(size: number, seed: number): NativeSample {
  const { data } = noisePicture({ width: size, height: size }, seed);
  const boxes = [0.1, 0.3, 0.5].flatMap((at, i) => [at * size, 0.2 * size, (at + 0.4) * size, 0.7 * size, i]);
  return { picture: { data: data as Uint8Array, width: size, height: size }, boxes: Float32Array.from(boxes), seed };
}

/** A trainer that has begun, and its step. */
export class BenchTrainer {
  readonly #samples: readonly NativeSample[];
  #calls = 0;

  private constructor(
    private readonly trainer: NativeTrainer,
    private readonly one: TrainCase,
    readonly info: Awaited<ReturnType<NativeTrainer['begin']>>,
  ) {
    this.#samples = Array.from({ length: one.batch }, (_, seed) => noiseSample(one.size, seed));
  }

  static async begin(one: TrainCase): Promise<BenchTrainer> {
    const trainer = atOnceFromNative(() => new (loadNative().Trainer)());
    const { network, device, precision, threads, recompute } = one;
    const classes = Array.from({ length: classCount }, (_, i) => `class ${i}`);
    const architecture = presets[network === 'small' ? 'small' : '10x5'].architecture;
    const info = await fromNative(trainer.begin({ architecture, classes, device, precision, threads, recompute }));
    return new BenchTrainer(trainer, one, info);
  }

  /** The most bytes of a GPU's memory so far; 0 on the CPU. */
  async step(): Promise<number> {
    const batch = await fromNative(this.trainer.prepare(++this.#calls, this.#samples, { enabled: false, size: this.one.size }));
    return (await fromNative(this.trainer.step(++this.#calls, batch, 1e-4))).deviceBytes;
  }

  close(): Promise<void> {
    return this.trainer.close();
  }
}

async function measureOne(one: TrainCase, rule: Rule): Promise<TrainResult> {
  forgetPeak();
  const trainer = await BenchTrainer.begin(one);
  const { device, threads, parameters } = trainer.info;
  let deviceBytes = 0;
  try {
    const step = await measure(
      async () => {
        const begin = performance.now();
        deviceBytes = await trainer.step();
        return performance.now() - begin;
      },
      rule,
      () => watchMachine(device),
    );
    return {
      ...{ ...one, device, threads, parameters, step },
      picturesPerSecond: (1000 * one.batch) / step.summary.p50,
      peakMemoryBytes: deviceBytes > 0 ? deviceBytes : memoryOf('self', 'VmHWM'),
    };
  } finally {
    await trainer.close();
  }
}

/** @throws {CornerNetError} as the trainer; {@link CutShort} for that when something is measured. */
export async function benchTrain({ cases, rule, tell }: TrainBenchOptions): Promise<TrainReport> {
  const machine = await describeMachine();
  const results: TrainResult[] = [];
  return filled({ ...reportHead(), kind: 'train', machine, method: { insideTheClock, ...rule }, peaks: [], results }, async () => {
    for (const one of cases) {
      const result = await measureOne(one, rule);
      results.push(result);
      tell?.(result);
    }
  });
}
