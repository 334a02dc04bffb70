// What jobs, queues and workers can be asked for. Written by scripts/generate-options.ts from options.ts: change that.
import type { LoadOptions } from '../options/interfaces.js';
import type { BatchFormat, RunControls, Shard } from './types.js';

/** A queue in Redis, through which a job has its pictures computed elsewhere. */
export interface QueueOptions {
  /** Where the queue is: redis://[user:password@]host[:port][/db], or rediss:// with TLS. */
  readonly url: string;
  /** Which of several queues in one Redis. Default: cornernet. */
  readonly name?: string | undefined;
  /** The folder that holds all pictures, wherever each machine has it: paths in the queue are relative to it, nothing outside is sent or read. Default: the current folder. */
  readonly root?: string | undefined;
  /** PEM file of the authority that signed the server's certificate. Default: the system's. */
  readonly ca?: string | undefined;
  /** File of a key of 16 bytes or more that batch and workers share: messages are signed with it, and others refused. Default: none: messages are not signed. */
  readonly keyFile?: string | undefined;
}

/** What `runBatch` works on. */
export interface BatchJob {
  /** Pictures, folders, globs, lists of paths (.txt, .lst, .list), tar files, or - for a list on standard input. Default: those the job was begun with. */
  readonly inputs?: readonly string[] | undefined;
  /** The job's folder: made when it isn't there, gone on with when it is. */
  readonly output: string;
  /** As in `Detector.load`. Default: the digits. */
  readonly weights?: string | undefined;
  /** The detector's options. Default: as in `Detector.load`. */
  readonly options?: LoadOptions | undefined;
  /** What is written beside results-*.jsonl at the end: coco or csv. Default: jsonl: nothing. */
  readonly format?: BatchFormat | undefined;
  /** COCO annotations whose picture and category ids the format coco uses. Default: positions and class ids. */
  readonly annotations?: string | undefined;
  /** At most so many pictures (of the shard). Default: all. */
  readonly limit?: number | undefined;
  /** Every nth picture from the ith, for n machines that share nothing. Default: all. */
  readonly shard?: Shard | undefined;
  /** Know a picture that has changed since the start by its sha256, which is taken of all at the start, instead of its size and time. Default: off. */
  readonly hashInputs?: boolean | undefined;
  /** Try the pictures again that failed. Default: off. */
  readonly retryErrors?: boolean | undefined;
  /** Stop when more pictures than this have failed. Default: never. */
  readonly maxErrors?: number | undefined;
  /** Serve numbers for Prometheus (/metrics) and a health check (/health) on this port of the loopback; 0: on any, which is said. Default: off. */
  readonly metrics?: number | undefined;
  /** Has workers on other machines compute the pictures. Default: none: they are computed here. */
  readonly queue?: QueueOptions | undefined;
}

/** Options of `runWorker`. */
export interface WorkerOptions extends RunControls {
  /** Where the work comes from. */
  readonly queue: QueueOptions;
  /** Where this machine computes, and how long a picture may take. Default: as in `Detector.load`. */
  readonly options?: Pick<LoadOptions, 'device' | 'threads' | 'batchSize' | 'timeout'> | undefined;
  /** Where the job's weights are on this machine; only for jobs whose checkpoint has the same checksum. Default: the id, or the path below the root, that the job names. */
  readonly weights?: string | undefined;
  /** Serve numbers for Prometheus (/metrics) and a health check (/health) on this port of the loopback; 0: on any, which is said. Default: off. */
  readonly metrics?: number | undefined;
  /** Refuse jobs that ask for a higher maxPixels. Default: 50,000,000. */
  readonly maxPixels?: number | undefined;
  /** Refuse jobs that ask for a higher maxPerImage. Default: 10,000. */
  readonly maxPerImage?: number | undefined;
  /** Refuse jobs that ask for a higher cornerTopk. Default: 1,000. */
  readonly cornerTopk?: number | undefined;
}
