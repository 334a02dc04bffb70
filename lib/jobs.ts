// The door `cornernet/jobs`: batch jobs over any number of pictures, on one machine or many.
export { runBatch } from './jobs/run.js';
export type { BatchJob, RunBatchOptions } from './jobs/run.js';
export type { BatchProgress } from './jobs/meter.js';
export type { BatchFormat } from './jobs/outputs.js';
export type { BatchSummary } from './jobs/summary.js';
export type { Shard } from './jobs/list.js';
export { runWorker } from './jobs/queue/worker.js';
export type { WorkerOptions } from './jobs/queue/worker.js';
export type { QueueOptions } from './jobs/queue/connection.js';
export { queueStatus } from './jobs/queue/status.js';
export type { QueueStatus } from './jobs/queue/status.js';
export type { WorkerState } from './jobs/queue/protocol.js';
