// The published configurations' networks and schedules, and the demo's.
import type { ArchitectureOptions, TrainOptions } from './interfaces.js';

/** Options that are there. */
export type Stated<Names extends keyof TrainOptions> = { readonly [Name in Names]-?: NonNullable<TrainOptions[Name]> };

export interface Preset extends Stated<'batchSize' | 'epochs' | 'crop' | 'milestones'> {
  /** Learning rate for each picture of the batch. */
  readonly ratePerPicture: number;
  readonly architecture: ArchitectureOptions;
}

/** mmdetection's: a rate of 5e-4 for the whole batch of cards x pictures, a tenth after 180 of 210 epochs. */
const published = (cards: number, batchSize: number): Preset => ({
  batchSize,
  epochs: 210,
  crop: 511,
  milestones: [[180 / 210, 0.1]],
  ratePerPicture: 5e-4 / (cards * batchSize),
  architecture: {},
});

export const presets: Readonly<Record<NonNullable<TrainOptions['preset']>, Preset>> = {
  '10x5': published(10, 5),
  '8x6': published(8, 6),
  '32x3': published(32, 3),
  small: {
    batchSize: 8,
    epochs: 50,
    crop: 255,
    milestones: [[0.6, 0.3], [0.85, 0.2]], // prettier-ignore
    ratePerPicture: 2.5e-3 / 8,
    architecture: {
      stacks: 2,
      stemChannels: 16,
      featChannels: 32,
      stageChannels: [32, 32, 48, 64],
      stageBlocks: [1, 1, 1, 2],
      poolChannels: 32,
      branchChannels: 32,
    },
  },
};

/** Where weights are taken over without a preset: the published rate, for less time. */
export const fineTuning: Preset = { ...published(10, 5), batchSize: 4, epochs: 20 };
