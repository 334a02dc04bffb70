// The door `cornernet/train`: teaching CornerNet the objects of annotated pictures.
/** @module cornernet/train */
export { train } from './train/run.js';
export type { ArchitectureOptions, TrainOptions } from './train/interfaces.js';
export type { TrainControls, TrainProgress, TrainSummary } from './train/types.js';
