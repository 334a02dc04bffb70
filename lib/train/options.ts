// The table of training's options: their validation is here, flags and help come from it in the command, and scripts/generate-options.ts writes their
// type (interfaces.ts).
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { headed, shapeOf, threadsRow } from '../options/table.js';
import { validated } from '../validation.js';
import type { TrainOptions } from './interfaces.js';

const text = z.string().min(1);
const channels = z.int().min(1).max(4096);
const count = z.int().min(1);

export const architectureTable = headed('Network', {
  stacks: { schema: z.int().min(1).max(8), type: 'number', about: 'hourglasses one after the other', standard: '2' },
  stemChannels: { schema: channels, type: 'number', about: 'channels of the first convolution', standard: '128' },
  featChannels: { schema: channels, type: 'number', about: 'channels of the features that the heads see', standard: '256' },
  stageChannels: {
    ...{ schema: z.array(channels).min(2).max(8).readonly(), type: 'readonly number[]' },
    about: 'channels at each resolution of an hourglass, the full one first',
    standard: '256, 256, 384, 384, 384, 512',
  },
  stageBlocks: {
    ...{ schema: z.array(z.int().min(1).max(64)).min(2).max(8).readonly(), type: 'readonly number[]' },
    about: 'blocks at each resolution',
    standard: '2, 2, 2, 2, 2, 4',
  },
  poolChannels: { schema: channels, type: 'number', about: 'channels of corner pooling', standard: '128' },
  branchChannels: { schema: channels, type: 'number', about: "channels between a branch's two convolutions", standard: '256' },
});

const architectureSchema = z
  .strictObject(shapeOf(architectureTable))
  .refine(
    ({ stageChannels, stageBlocks }) => (stageChannels?.length ?? 6) === (stageBlocks?.length ?? 6),
    'stageChannels and stageBlocks differ in length',
  );

const milestone = z.tuple([z.number().min(0).max(1), z.number().positive()]).readonly();

export const trainTable = headed('Training', {
  images: {
    ...{ schema: text, type: 'string', required: true, flag: 'text', placeholder: 'folder' },
    about: 'where the pictures to learn from are',
    standard: '',
  },
  annotations: {
    ...{ schema: text, type: 'string', required: true, flag: 'text', placeholder: 'file' },
    about: 'their objects as COCO annotations, whose categories become the classes',
    standard: '',
  },
  output: {
    ...{ schema: text, type: 'string', required: true, flag: 'text', short: 'o', placeholder: 'folder' },
    about: "the training's folder: made when it isn't there, gone on with when it is",
    standard: '',
  },
  valImages: {
    ...{ schema: text, type: 'string', flag: 'text', placeholder: 'folder' },
    about: 'where the pictures to measure average precision on are',
    standard: 'none: nothing is measured, and there is no best.pth',
  },
  valAnnotations: { schema: text, type: 'string', flag: 'text', placeholder: 'file', about: 'their objects', standard: 'none' },
  from: {
    ...{ schema: text, type: 'string', flag: 'text', placeholder: 'id|file' },
    about:
      'weights to begin with: an id of `cornernet weights list` or a .pth; with other classes the last heatmap convolutions start anew',
    standard: 'none: the weights are drawn',
  },
  preset: {
    ...{ schema: z.enum(['10x5', '8x6', '32x3', 'small']), type: "'10x5' | '8x6' | '32x3' | 'small'", flag: 'text' as const },
    about: "network and schedule of a published configuration (10x5, 8x6, 32x3), or the demo's small network",
    standard: 'small, or what `from` is',
  },
  architecture: {
    ...{ schema: architectureSchema, type: 'ArchitectureOptions' },
    about: "the network's dimensions, where the weights are drawn",
    standard: "the preset's",
  },
  epochs: {
    schema: count,
    type: 'number',
    flag: 'number',
    about: 'times that every picture is seen',
    standard: "the preset's: 210, small 50",
  },
  iterations: { schema: count, type: 'number', flag: 'number', about: 'steps, instead of epochs', standard: 'as many as the epochs have' },
  batchSize: {
    ...{ schema: z.int().min(1).max(1024), type: 'number', flag: 'number' },
    about: 'pictures a step; of each process, where several train together',
    standard: "the preset's pictures a card: 5, 6 or 3, small 8",
  },
  learningRate: {
    ...{ schema: z.number().positive().max(1), type: 'number', flag: 'number', flagName: 'lr' },
    about: 'of Adam, after the warm-up',
    standard: "the preset's, in proportion to the batch",
  },
  warmup: {
    ...{ schema: z.int().min(0), type: 'number', flag: 'number' },
    about: 'steps over which the learning rate rises from a third',
    standard: '500, at most a tenth of the steps',
  },
  milestones: {
    ...{ schema: z.array(milestone).readonly(), type: 'readonly (readonly [part: number, factor: number])[]' },
    about: 'after which part of the run (0 to 1) the learning rate is multiplied by what',
    standard: 'after 6/7 by 0.1, small after 0.6 by 0.3 and after 0.85 by 0.2',
  },
  augment: {
    ...{ schema: z.enum(['mmdetection', 'unmirrored', 'none']), type: "'mmdetection' | 'unmirrored' | 'none'", flag: 'text' as const },
    about:
      'mmdetection: colours distorted, cropped at random, mirrored by a coin; unmirrored: the same without the coin, for what is no mirror image ' +
      'of itself, such as letters; none: pictures are only brought to their size',
    standard: 'mmdetection',
  },
  crop: {
    ...{ schema: z.int().min(32).max(4096), type: 'number', flag: 'number' },
    about: 'pixels of a side of what the network sees in training',
    standard: '511, small 255',
  },
  seed: { schema: z.int().min(0), type: 'number', flag: 'number', about: 'of everything that is drawn', standard: '0' },
  freeze: {
    ...{ schema: z.enum(['backbone', 'norms']), type: "'backbone' | 'norms'", flag: 'text' as const },
    about: "what does not learn: the backbone, or the norms' statistics, which small batches measure badly",
    standard: 'nothing',
  },
  precision: {
    ...{ schema: z.enum(['fp32', 'bf16', 'fp16']), type: "'fp32' | 'bf16' | 'fp16'", flag: 'text' as const },
    about: 'of activations; weights, norms, losses and the optimizer stay fp32 (fp16 on a GPU only, with loss scaling)',
    standard: 'fp32',
  },
  recompute: {
    ...{ schema: z.boolean(), type: 'boolean', flag: 'on' as const },
    about: "compute the hourglasses' activations again on the way back instead of keeping them: less memory, more time, the same result",
    standard: 'off',
  },
  device: {
    ...{
      schema: z.string().regex(/^(cpu|cuda(:(\d{1,3}|\*))?)$/, "must be 'cpu', 'cuda', 'cuda:N' or 'cuda:*'"),
      type: 'string',
      flag: 'text',
    },
    about: 'where to compute: cpu, cuda, cuda:N or cuda:* (every CUDA device)',
    standard: 'cpu',
  },
  threads: threadsRow,
  joinSeconds: {
    ...{ schema: z.number().positive().max(86_400), type: 'number', flag: 'number' },
    about: 'seconds in which all processes must have come, where several train together',
    standard: '300',
  },
  valEvery: { schema: count, type: 'number', flag: 'number', about: 'epochs between two measurements of average precision', standard: '1' },
  saveEvery: {
    schema: count,
    type: 'number',
    flag: 'number',
    about: 'steps after which last.pth is written at the latest',
    standard: '500',
  },
});

const trainSchema = z.strictObject(shapeOf(trainTable)).extend({
  images: trainTable.images.schema,
  annotations: trainTable.annotations.schema,
  output: trainTable.output.schema,
});

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
