// The door `cornernet/coco`: COCO's classes, annotations, results and average precision.
/** @module cornernet/coco */
export { cocoCategoryIds, cocoClasses } from './coco/categories.js';
export { evaluateDetections } from './coco/evaluate.js';
export type { CocoEvaluation, CocoStats } from './coco/evaluate.js';
export type { CocoAnnotation, CocoAnnotations, CocoBox, CocoDetection, CocoImage, CocoNames } from './coco/dataset.js';
export { cocoResults, toCocoJson } from './writers/coco.js';
export type { CocoResultsOptions } from './writers/coco.js';
