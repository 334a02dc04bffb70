// The table of training's options: their validation is here, flags and help come from it in the command, and scripts/generate-options.ts writes their
// type (interfaces.ts).
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { bool, headed, number, option, shapeOf, text, threadsRow, word } from '../options/table.js';
import { validated } from '../validation.js';
import type { TrainOptions } from './interfaces.js';

const channels = z.int().min(1).max(4096);
const count = z.int().min(1);

export const architectureTable = headed('Network', {
  stacks: option(z.int().min(1).max(8), 'number', 'hourglasses one after the other', '2'),
  stemChannels: option(channels, 'number', 'channels of the first convolution', '128'),
  featChannels: option(channels, 'number', 'channels of the features that the heads see', '256'),
  stageChannels: option(
    z.array(channels).min(2).max(8).readonly(),
    'readonly number[]',
    'channels at each resolution of an hourglass, the full one first',
    '256, 256, 384, 384, 384, 512',
  ),
  stageBlocks: option(
    z.array(z.int().min(1).max(64)).min(2).max(8).readonly(),
    'readonly number[]',
    'blocks at each resolution',
    '2, 2, 2, 2, 2, 4',
  ),
  poolChannels: option(channels, 'number', 'channels of corner pooling', '128'),
  branchChannels: option(channels, 'number', "channels between a branch's two convolutions", '256'),
});

const architectureSchema = z
  .strictObject(shapeOf(architectureTable))
  .refine(
    ({ stageChannels, stageBlocks }) => (stageChannels?.length ?? 6) === (stageBlocks?.length ?? 6),
    'stageChannels and stageBlocks differ in length',
  );

const milestone = z.tuple([z.number().min(0).max(1), z.number().positive()]).readonly();

export const trainTable = headed('Training', {
  images: text('where the pictures to learn from are', '', { required: true, placeholder: 'folder' }),
  annotations: text('their objects as COCO annotations, whose categories become the classes', '', { required: true, placeholder: 'file' }),
  output: text("the training's folder: made when it isn't there, gone on with when it is", '', {
    required: true,
    short: 'o',
    placeholder: 'folder',
  }),
  valImages: text('where the pictures to measure average precision on are', 'none: nothing is measured, and there is no best.pth', {
    placeholder: 'folder',
  }),
  valAnnotations: text('their objects', 'none', { placeholder: 'file' }),
  from: text(
    'weights to begin with: an id of `cornernet weights list` or a .pth; with other classes the last heatmap convolutions start anew',
    'none: the weights are drawn',
    { placeholder: 'id|file' },
  ),
  preset: word(
    ['10x5', '8x6', '32x3', 'small'],
    "network and schedule of a published configuration (10x5, 8x6, 32x3), or the demo's small network",
    'small; none with `from`, whose network it is',
  ),
  architecture: option(architectureSchema, 'ArchitectureOptions', "the network's dimensions, where the weights are drawn", "the preset's"),
  epochs: number(count, 'times that every picture is seen', "the preset's: 210, small 50; 20 with `from` alone"),
  iterations: number(count, 'steps, instead of epochs', 'as many as the epochs have'),
  batchSize: number(
    z.int().min(1).max(1024),
    'pictures a step; of each process, where several train together',
    "the preset's pictures a card: 5, 6 or 3, small 8; 4 with `from` alone",
  ),
  learningRate: number(z.number().positive().max(1), 'of Adam, after the warm-up', "the preset's, in proportion to the batch", {
    flagName: 'lr',
  }),
  warmup: number(
    z.int().min(0),
    'steps over which the learning rate rises from a third; fewer than two: none',
    '500, at most a tenth of the steps',
  ),
  milestones: option(
    z.array(milestone).readonly(),
    'readonly (readonly [part: number, factor: number])[]',
    'after which part of the run (0 to 1) the learning rate is multiplied by what',
    'after 6/7 by 0.1, small after 0.6 by 0.3 and after 0.85 by 0.2',
  ),
  augment: word(
    ['mmdetection', 'unmirrored', 'none'],
    'mmdetection: colours distorted, cropped at random, mirrored by a coin; unmirrored: the same without the coin, for what is no mirror image ' +
      'of itself, such as letters; none: pictures are only brought to their size',
    'mmdetection',
  ),
  crop: number(z.int().min(32).max(4096), 'pixels of a side of what the network sees in training', '511, small 255'),
  seed: number(z.int().min(0), 'of everything that is drawn', '0'),
  freeze: word(
    ['backbone', 'norms'],
    "what does not learn: the backbone, or the norms' statistics, which small batches measure badly",
    'nothing',
  ),
  precision: word(
    ['fp32', 'bf16', 'fp16'],
    'of activations; weights, norms, losses and the optimizer stay fp32 (fp16 on a GPU only, with loss scaling)',
    'fp32',
  ),
  recompute: bool(
    'on',
    "compute the hourglasses' activations again on the way back instead of keeping them: less memory, more time, the same result",
    'off',
  ),
  device: option(
    z.string().regex(/^(cpu|cuda(:(\d{1,3}|\*))?)$/, "must be 'cpu', 'cuda', 'cuda:N' or 'cuda:*'"),
    'string',
    'where to compute: cpu, cuda, cuda:N or cuda:* (every CUDA device)',
    'cpu',
    { flag: 'text' },
  ),
  threads: threadsRow,
  joinSeconds: number(
    z.number().positive().max(86_400),
    'seconds in which all processes must have come, where several train together',
    '300',
  ),
  valEvery: number(count, 'epochs between two measurements of average precision', '1'),
  saveEvery: number(count, 'steps after which last.pth is written at the latest', '500'),
});

const trainSchema = z.strictObject(shapeOf(trainTable));

function refuse(sentence: string): never {
  throw new CornerNetError('ERR_OPTION', `train option ${sentence}`);
}

/** @throws {CornerNetError} `ERR_OPTION`. */
export function checkTrainOptions(options: unknown): TrainOptions {
  const checked = validated(trainSchema, options, { code: 'ERR_OPTION', what: 'train option' });
  if ((checked.valImages === undefined) !== (checked.valAnnotations === undefined))
    refuse('valImages needs valAnnotations, and the reverse');
  if (checked.epochs !== undefined && checked.iterations !== undefined) refuse('iterations is instead of epochs: give one of them');
  if (checked.from !== undefined && checked.architecture) refuse('architecture is for drawn weights: `from` brings its own');
  return checked;
}
