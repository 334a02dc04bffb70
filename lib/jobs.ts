// The door `cornernet/jobs`: batch jobs over any number of pictures, on one machine or many.
/** @module cornernet/jobs */
export { runBatch } from './jobs/run.js';
export { verifyBatch } from './jobs/verify.js';
export { runWorker } from './jobs/queue/worker.js';
export { queueStatus } from './jobs/queue/status.js';
export type * from './jobs/interfaces.js';
export type * from './jobs/types.js';
