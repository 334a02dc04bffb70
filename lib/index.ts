// The front door: the detector, calibrating for int8, corner pooling, drawing and writing of results, weights, errors.
/** @module cornernet */
export { Detector } from './detector/detector.js';
export type { HeadMap, Heads } from './detector/heads.js';
export type { Detection, DetectionResult, DetectorStats, FailedResult, NetworkWork } from './detector/result.js';
export type { Timings } from './detector/timings.js';
export { cornerPool } from './detector/corner-pool.js';
export type { CornerPoolDirection } from './detector/corner-pool.js';
export { CornerNetError } from './errors.js';
export type { CornerNetErrorCode } from './errors.js';
export type { BlobLike, ByteStream, ImageSource, RawImage } from './images/source.js';
export { draw } from './render/draw.js';
export type { DrawOptions } from './render/draw.js';
export { toCsv } from './writers/csv.js';
export { toJsonLines } from './writers/jsonl.js';
export type { Outcome, Outcomes } from './writers/writer.js';
export { quantize } from './quantize/quantize.js';
export type { QuantizeOptions } from './quantize/interfaces.js';
export type {
  QuantizeAgreement,
  QuantizeControls,
  QuantizedLayer,
  QuantizeProgress,
  QuantizeReport,
  QuantizeTrial,
} from './quantize/types.js';
export { defaultWeights, fetchWeights, listWeights, verifyWeights } from './weights/weights.js';
export type { FetchWeightsOptions, WeightsEntry, WeightsVerification } from './weights/weights.js';
export type { DownloadProgress, DownloadRequest } from './weights/download.js';
export type { DetectAllOptions, DetectOptions, LoadOptions, SoftNmsOptions, TileOptions } from './options/interfaces.js';
export type { Abortable, ChosenPrecision, Device, Numerics, Precision } from './options/values.js';
