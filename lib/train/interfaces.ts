// What training can be asked for. Written by scripts/generate-options.ts from options.ts: change that.

/** A network's dimensions. */
export interface ArchitectureOptions {
  /** Hourglasses one after the other. Default: 2. */
  readonly stacks?: number | undefined;
  /** Channels of the first convolution. Default: 128. */
  readonly stemChannels?: number | undefined;
  /** Channels of the features that the heads see. Default: 256. */
  readonly featChannels?: number | undefined;
  /** Channels at each resolution of an hourglass, the full one first. Default: 256, 256, 384, 384, 384, 512. */
  readonly stageChannels?: readonly number[] | undefined;
  /** Blocks at each resolution. Default: 2, 2, 2, 2, 2, 4. */
  readonly stageBlocks?: readonly number[] | undefined;
  /** Channels of corner pooling. Default: 128. */
  readonly poolChannels?: number | undefined;
  /** Channels between a branch's two convolutions. Default: 256. */
  readonly branchChannels?: number | undefined;
}

/** Options of `train`. */
export interface TrainOptions {
  /** Where the pictures to learn from are. */
  readonly images: string;
  /** Their objects as COCO annotations, whose categories become the classes. */
  readonly annotations: string;
  /** The training's folder: made when it isn't there, gone on with when it is. */
  readonly output: string;
  /** Where the pictures to measure average precision on are. Default: none: nothing is measured, and there is no best.pth. */
  readonly valImages?: string | undefined;
  /** Their objects. Default: none. */
  readonly valAnnotations?: string | undefined;
  /** Weights to begin with: an id of `cornernet weights list` or a .pth; with other classes the last heatmap convolutions start anew. Default: none: the weights are drawn. */
  readonly from?: string | undefined;
  /** Network and schedule of a published configuration (10x5, 8x6, 32x3), or the demo's small network. Default: small; none with `from`, whose network it is. */
  readonly preset?: '10x5' | '8x6' | '32x3' | 'small' | undefined;
  /** The network's dimensions, where the weights are drawn. Default: the preset's. */
  readonly architecture?: ArchitectureOptions | undefined;
  /** Times that every picture is seen. Default: the preset's: 210, small 50; 20 with `from` alone. */
  readonly epochs?: number | undefined;
  /** Steps, instead of epochs. Default: as many as the epochs have. */
  readonly iterations?: number | undefined;
  /** Pictures a step; of each process, where several train together. Default: the preset's pictures a card: 5, 6 or 3, small 8; 4 with `from` alone. */
  readonly batchSize?: number | undefined;
  /** Of Adam, after the warm-up. Default: the preset's, in proportion to the batch. */
  readonly learningRate?: number | undefined;
  /** Steps over which the learning rate rises from a third; fewer than two: none. Default: 500, at most a tenth of the steps. */
  readonly warmup?: number | undefined;
  /** After which part of the run (0 to 1) the learning rate is multiplied by what. Default: after 6/7 by 0.1, small after 0.6 by 0.3 and after 0.85 by 0.2. */
  readonly milestones?: readonly (readonly [part: number, factor: number])[] | undefined;
  /** Mmdetection: colours distorted, cropped at random, mirrored by a coin; unmirrored: the same without the coin, for what is no mirror image of itself, such as letters; none: pictures are only brought to their size. Default: mmdetection. */
  readonly augment?: 'mmdetection' | 'unmirrored' | 'none' | undefined;
  /** Pixels of a side of what the network sees in training. Default: 511, small 255. */
  readonly crop?: number | undefined;
  /** Of everything that is drawn. Default: 0. */
  readonly seed?: number | undefined;
  /** What does not learn: the backbone, or the norms' statistics, which small batches measure badly. Default: nothing. */
  readonly freeze?: 'backbone' | 'norms' | undefined;
  /** Of activations; weights, norms, losses and the optimizer stay fp32 (fp16 on a GPU only, with loss scaling). Default: fp32. */
  readonly precision?: 'fp32' | 'bf16' | 'fp16' | undefined;
  /** Compute the hourglasses' activations again on the way back instead of keeping them: less memory, more time, the same result. Default: off. */
  readonly recompute?: boolean | undefined;
  /** Where to compute: cpu, cuda, cuda:N or cuda:* (every CUDA device). Default: cpu. */
  readonly device?: string | undefined;
  /** CPU threads. Default: the cores this process may use. */
  readonly threads?: number | undefined;
  /** Seconds in which all processes must have come, where several train together. Default: 300. */
  readonly joinSeconds?: number | undefined;
  /** Epochs between two measurements of average precision. Default: 1. */
  readonly valEvery?: number | undefined;
  /** Steps after which last.pth is written at the latest. Default: 500. */
  readonly saveEvery?: number | undefined;
}
