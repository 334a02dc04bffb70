// The command line's words for a detector's options; their values are checked where the API checks them.
import { Option, type Command } from 'commander';

import { CornerNetError } from '../errors.js';
import type { DetectOptions, Device, LoadOptions } from '../options.js';

/** As commander hands them over. */
export interface DetectorFlags {
  readonly weights?: string;
  readonly device?: string;
  readonly precision?: LoadOptions['precision'];
  readonly threads?: number;
  readonly tf32?: boolean;
  readonly deterministic?: boolean;
  readonly cudaGraphs?: boolean;
  readonly flip?: boolean;
  readonly numerics?: DetectOptions['numerics'];
  readonly scoreThreshold?: number;
  readonly maxPerImage?: number;
  readonly cornerTopk?: number;
  readonly distanceThreshold?: number;
  readonly softNmsMethod?: 'gaussian' | 'linear' | 'naive';
  readonly softNmsIouThreshold?: number;
  readonly softNmsSigma?: number;
  readonly softNmsMinScore?: number;
  readonly classes?: string;
  readonly maxPixels?: number;
  readonly batchSize?: number | 'auto';
  readonly timings?: boolean;
}

function numberOf(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value)) throw new CornerNetError('ERR_OPTION', `${flag} takes a number, not '${text}'`);
    return value;
  };
}

/** An option whose value is a number. */
export function numeric(flags: string, description: string): Option {
  return new Option(flags, description).argParser(numberOf(flags.split(' ')[0] ?? flags));
}

export function threadsOption(): Option {
  return numeric('--threads <n>', 'CPU threads of the network (default: the cores this process may use)');
}

export function batchSizeOption(): Option {
  const number = numberOf('--batch-size');
  return new Option(
    '--batch-size <n>',
    'pictures of one padded size that share a forward; auto: what memory holds, up to 32 on CUDA, 8 on the CPU (default: 1 on the CPU, 8 on CUDA)',
  ).argParser((text) => (text === 'auto' ? text : number(text)));
}

export function addDetectorOptions(command: Command): Command {
  return command
    .option('-w, --weights <id|file>', 'weights: an id of `cornernet weights list` or an mmdetection .pth (default: the digits)')
    .option('--device <device>', 'auto, cpu, cuda, cuda:N or cuda:*; several, separated by commas, make replicas (default: auto)')
    .option('--precision <precision>', 'auto, fp32, bf16 or fp16 (default: auto)')
    .addOption(threadsOption())
    .option('--tf32', 'on CUDA in fp32, let convolutions round to TF32: faster, less exact')
    .option('--deterministic', 'on CUDA, only algorithms that give the same bits each time')
    .option('--no-cuda-graphs', 'on CUDA, launch every kernel by itself instead of replaying recorded forwards')
    .option('--flip', 'also look at the mirrored picture and merge (default: as the weights were tested)')
    .option('--no-flip', 'look at the plain picture only')
    .option('--numerics <version>', "mmdet2 or mmdet3: which mmdetection's arithmetic (default: mmdet2)")
    .addOption(
      numeric('--score-threshold <s>', 'leave out detections below it; 0 keeps all that mmdetection returns (default: 0.3, digits 0.5)'),
    )
    .addOption(numeric('--max-per-image <n>', 'at most so many detections a picture (default: 100)'))
    .addOption(numeric('--corner-topk <n>', 'corners considered of each kind (default: 100)'))
    .addOption(numeric('--distance-threshold <d>', 'largest difference of two paired embeddings (default: 0.5)'))
    .option('--soft-nms-method <method>', 'gaussian, linear or naive (default: gaussian)')
    .addOption(numeric('--soft-nms-iou-threshold <iou>', 'overlap from which linear and naive act (default: 0.5)'))
    .addOption(numeric('--soft-nms-sigma <s>', 'width of gaussian (default: 0.5)'))
    .addOption(numeric('--soft-nms-min-score <s>', 'drop boxes that decay below it (default: 0.001)'))
    .option('--classes <list>', 'classes to keep, names or ids separated by commas (default: all)')
    .addOption(numeric('--max-pixels <n>', 'refuse pictures with more pixels (default: 50000000)'))
    .addOption(batchSizeOption())
    .option('--timings', 'measure the stages; JSON lines then have them');
}

/** Only what was given: the API has the defaults. */
export function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

export function loadOptionsOf(flags: DetectorFlags): LoadOptions {
  const devices = flags.device?.split(',') as Device[] | undefined;
  const softNms = given({
    method: flags.softNmsMethod,
    iouThreshold: flags.softNmsIouThreshold,
    sigma: flags.softNmsSigma,
    minScore: flags.softNmsMinScore,
  });
  return given({
    device: devices?.length === 1 ? devices[0] : devices,
    precision: flags.precision,
    threads: flags.threads,
    tf32: flags.tf32,
    deterministic: flags.deterministic,
    cudaGraphs: flags.cudaGraphs === false ? false : undefined, // commander's default of a --no- option is true
    flip: flags.flip,
    numerics: flags.numerics,
    scoreThreshold: flags.scoreThreshold,
    maxPerImage: flags.maxPerImage,
    cornerTopk: flags.cornerTopk,
    distanceThreshold: flags.distanceThreshold,
    softNms: Object.keys(softNms).length > 0 ? softNms : undefined,
    classes: flags.classes?.split(',').map((name) => (/^\d+$/.test(name) ? Number(name) : name)),
    maxPixels: flags.maxPixels,
    batchSize: flags.batchSize,
    timings: flags.timings,
  });
}
