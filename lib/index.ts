// What the package exports.
export { Detector } from './detector.js';
export type { Detection, DetectionResult, DetectorStats, FailedResult, HeadMap, Heads, NetworkWork } from './detector.js';
export type { Timings } from './timings.js';
export { cornerPool } from './corner-pool.js';
export type { CornerPoolDirection } from './corner-pool.js';
export { CornerNetError } from './errors.js';
export type { CornerNetErrorCode } from './errors.js';
export type { ImageSource, RawImage } from './image.js';
export type { Abortable, DetectAllOptions, DetectOptions, Device, LoadOptions, Numerics, Precision, SoftNmsOptions } from './options.js';
export { defaultWeights, fetchWeights, listWeights, verifyWeights } from './weights.js';
export type { FetchWeightsOptions, WeightsEntry, WeightsVerification } from './weights.js';
export type { DownloadProgress, DownloadRequest } from './download.js';
export { cocoCategoryIds, cocoClasses } from './coco.js';
