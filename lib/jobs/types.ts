// What jobs and queues tell their callers.

/** One of several machines' equal parts of a job. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** What is written beside `results-*.jsonl` at the end; 'jsonl' is nothing. */
export type BatchFormat = 'jsonl' | 'coco' | 'csv';

/** How far a job is. */
export interface BatchProgress {
  /** Pictures of the job. */
  readonly total: number;
  /** Pictures with a result, of this run and those before. */
  readonly done: number;
  /** Pictures with an error. */
  readonly failed: number;
  /** Pictures a second in the last half minute of this run. */
  readonly rate: number;
  /** Seconds until the end at this rate; null while there is none. */
  readonly secondsLeft: number | null;
}

/** What became of a job's pictures. */
export interface BatchSummary {
  /** 'complete' when every picture has its record. */
  readonly state: 'complete' | 'stopped';
  /** Pictures of the job. */
  readonly total: number;
  /** Pictures with a result. */
  readonly done: number;
  /** Pictures with an error. */
  readonly failed: number;
  /** Pictures without a record. */
  readonly pending: number;
  /** Once complete: how many errors of each code. */
  readonly errors?: Readonly<Record<string, number>>;
  /** Once complete: objects found. */
  readonly detections?: number;
  /** Once complete: objects found of each class. */
  readonly classes?: Readonly<Record<string, number>>;
  /** Once complete: pictures with a result whose files are no longer as they were when the list was frozen. */
  readonly changed?: number;
  /** Files in the job's folder that keep what was damaged in others. */
  readonly setAside?: readonly string[];
}

/** How whole a job's folder is. */
export interface BatchVerification {
  /** Whether every picture has exactly one record, none is damaged and no picture has changed. */
  readonly whole: boolean;
  /** Pictures of the job. */
  readonly total: number;
  /** Pictures with a result that is as it was written. */
  readonly done: number;
  /** Pictures with an error. */
  readonly failed: number;
  /** Pictures without a record, or with a damaged one. */
  readonly pending: number;
  /** Pictures with a result whose files are no longer as they were when the list was frozen. */
  readonly changed: number;
  /** Lines of the job's files that are no records, or one too many of a picture. */
  readonly damaged: readonly { readonly file: string; readonly lines: number }[];
}

/** What may be heard and said while a job or worker runs. */
export interface RunControls {
  /** Ends at once: `runBatch` rejects with the signal's reason, `runWorker` gives its chunks up for others and resolves. */
  readonly signal?: AbortSignal | undefined;
  /** Begins nothing new, waits for what is in flight and resolves. */
  readonly finish?: AbortSignal | undefined;
  /** Told what a person would want to know: a process that died, a worker that can't go on. */
  readonly onMessage?: ((text: string) => void) | undefined;
}

/** Options of `verifyBatch`. */
export type VerifyBatchOptions = Pick<RunControls, 'signal' | 'onMessage'>;

/** Besides what {@link RunControls} has. */
export interface RunBatchOptions extends RunControls {
  /** Called some times a second, and at the end. */
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
}

/** What a worker tells of itself. */
export interface WorkerState {
  readonly host: string;
  readonly pid: number;
  /** Null until it has work. */
  readonly device: string | null;
  /** Pictures that it has computed. */
  readonly pictures: number;
  /** Those of them that failed. */
  readonly errors: number;
  /** Chunks that it refused: not signed as they should be, of another shape, or asking for more than it allows. */
  readonly refused: number;
  /** Pictures a second of late. */
  readonly rate: number;
  /** When it said so, in milliseconds since 1970 by the queue's server. */
  readonly time: number;
}

/** What a queue holds, in chunks of pictures, and who works on it. */
export interface QueueStatus {
  /** Chunks that wait. */
  readonly waiting: number;
  /** Chunks in workers' hands. */
  readonly active: number;
  /** Chunks that a worker gave back and others will take. */
  readonly delayed: number;
  /** Chunks that were refused. */
  readonly failed: number;
  /** Those that showed life of late. */
  readonly workers: readonly WorkerState[];
  /** Pictures a second of all workers. */
  readonly rate: number;
  /** Pictures that failed at the present workers. */
  readonly errors: number;
  /** Why chunks came back last. */
  readonly reasons: readonly string[];
}
