// The door `cornernet/coco`: COCO's classes, annotations and average precision.
export { cocoCategoryIds, cocoClasses } from './coco/categories.js';
export { evaluateDetections } from './coco/evaluate.js';
export type { CocoEvaluation, CocoStats } from './coco/evaluate.js';
export type { CocoAnnotation, CocoAnnotations, CocoBox, CocoDetection, CocoImage } from './coco/dataset.js';
