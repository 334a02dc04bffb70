// The core's learner as tests see it: it trains, in fp32 or fp64 and alone or with other processes, and gives everything that it computes.
import { createRequire } from 'node:module';
import { join } from 'node:path';

import sharp from 'sharp';

import { root } from '../environment.js';

export type Losses = Record<'det_loss' | 'pull_loss' | 'push_loss' | 'off_loss', number[]>;

export interface TrainedAs {
  steps: (Losses & { total: number; gradient_norm: number })[];
  targets: Record<string, Float64Array>[];
  gradients: Record<string, Float64Array>[];
  tensors: Record<string, Float64Array>;
  heads: Record<string, Float64Array>;
}

export const testing = createRequire(__filename)(join(root, 'build', 'Release', 'cornernet_testing.node')) as {
  trainAs(setting: object): TrainedAs;
  gaussianRadius(height: number, width: number): number;
};

/** What a reference says of its pictures. */
export interface TrainPictures {
  classes: number;
  pictures: { file: string; boxes: [number, number, number, number][]; labels: number[] }[];
}

export interface TrainSetting {
  /** Where start.pth and the pictures are. */
  folder: string;
  reference: TrainPictures;
  fp64: boolean;
  /** Of the first steps, to be given. */
  gradients: number;
  batches: { pictures: number[]; learningRate: number }[];
  /** Seed of a coin for each weight, which begins a rounding up or down. */
  nudges?: number | undefined;
  freezeNorms?: boolean;
  /** `dead`: seconds without a sign of life that end a process. */
  membership?: { rank: number; processes: number; port: number; dead?: number };
  /** The batch before which the process is stopped, as by SIGSTOP. */
  stoppedAt?: number | undefined;
}

export async function trainAs({ folder, reference, batches, ...more }: TrainSetting): Promise<TrainedAs> {
  const pictures = await Promise.all(
    reference.pictures.map(async ({ file, boxes, labels }) => {
      const { data, info } = await sharp(join(folder, file)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      return { data, width: info.width, height: info.height, boxes, labels };
    }),
  );
  return testing.trainAs({
    start: join(folder, 'start.pth'),
    classes: reference.classes,
    batches: batches.map((batch) => ({ ...batch, pictures: batch.pictures.map((i) => pictures[i]) })),
    ...more,
  });
}
