// The package's one error class.
import { types } from 'node:util';

/**
 * - `ERR_OPTION`: an option is unknown or has a value that isn't allowed.
 * - `ERR_INPUT`: a picture, list or file can't be read or isn't what it should be.
 * - `ERR_WRITE`: a file or folder can't be written: the disk is full, the permission lacks.
 * - `ERR_WEIGHTS`: there are no weights of this name, or they were not fetched yet.
 * - `ERR_JOB`: a folder is no job's, or its job was begun with other settings.
 * - `ERR_LOCKED`: another process works on the job.
 * - `ERR_TOO_LARGE`: a picture has more pixels than `maxPixels`.
 * - `ERR_CHECKPOINT`: a file isn't a CornerNet checkpoint, or is damaged; or the network computed infinities or NaN from a picture.
 * - `ERR_DOWNLOAD`: weights could not be fetched or don't have their checksum.
 * - `ERR_NOT_BUILT`: the native addon isn't there, can't run on this machine, or the package was bundled.
 * - `ERR_LIBTORCH`: the addon is there, but LibTorch can't be loaded.
 * - `ERR_DEVICE`: the device or precision asked for can't be had.
 * - `ERR_OUT_OF_MEMORY`: the device's or the machine's memory doesn't suffice; the detector works on.
 * - `ERR_CLOSED`: the detector is closed, or the call was dropped.
 * - `ERR_CRASHED`: the process that worked on a picture of a batch job died of it, twice.
 * - `ERR_PEER`: the processes of a training can't meet, were started with different settings, or one of them has ended.
 * - `ERR_QUEUE`: the queue of a batch job can't be reached or refuses.
 * - `ERR_INTERNAL`: a failure of ours.
 */
export type CornerNetErrorCode =
  | 'ERR_OPTION'
  | 'ERR_INPUT'
  | 'ERR_WRITE'
  | 'ERR_WEIGHTS'
  | 'ERR_JOB'
  | 'ERR_LOCKED'
  | 'ERR_TOO_LARGE'
  | 'ERR_CHECKPOINT'
  | 'ERR_DOWNLOAD'
  | 'ERR_NOT_BUILT'
  | 'ERR_LIBTORCH'
  | 'ERR_DEVICE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_CLOSED'
  | 'ERR_CRASHED'
  | 'ERR_PEER'
  | 'ERR_QUEUE'
  | 'ERR_INTERNAL';

/**
 * What everything in this package throws and rejects with, aborts apart (they carry the signal's own reason), and what a caller's own iterable or
 * callback throws, which is handed on as it is.
 */
export class CornerNetError extends Error {
  override readonly name = 'CornerNetError';
  readonly code: CornerNetErrorCode;

  constructor(code: CornerNetErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** With the sentence, which JSON leaves out of other errors. */
  toJSON(): { name: string; code: CornerNetErrorCode; message: string } {
    return { name: this.name, code: this.code, message: this.message };
  }
}

/** Also where this file runs in a context of its own, as under Jest: the system's and the addon's errors are then of another `Error`. */
function isError(error: unknown): error is Error {
  return error instanceof Error || types.isNativeError(error);
}

/** Any failure as a sentence. */
export function sentenceOf(error: unknown): string {
  return isError(error) ? error.message : String(error);
}

/** Any failure as one of ours: what isn't is a failure within the package. */
export function asCornerNetError(error: unknown): CornerNetError {
  return error instanceof CornerNetError ? error : new CornerNetError('ERR_INTERNAL', sentenceOf(error), { cause: error });
}

function isNative(error: unknown): error is Error & { code: CornerNetErrorCode } {
  return isError(error) && String((error as { code?: unknown }).code).startsWith('ERR_');
}

function converted(error: unknown): CornerNetError {
  return isNative(error)
    ? new CornerNetError(error.code, error.message)
    : new CornerNetError('ERR_INTERNAL', sentenceOf(error), { cause: error });
}

/** Asks the addon what it answers at once, and throws what it throws as a CornerNetError. */
export function atOnceFromNative<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw converted(error);
  }
}

/**
 * Awaits the addon and turns what it rejects with into a CornerNetError that shows where the caller was:
 * native errors are made on a callback from the addon's thread, where the stack says nothing.
 */
export async function fromNative<T>(promise: Promise<T>): Promise<T> {
  const caller = new Error('caller');
  try {
    return await promise;
  } catch (error) {
    const failure = converted(error);
    const stack: unknown = caller.stack; // what Error.prepareStackTrace makes of it
    const frames = typeof stack === 'string' ? stack.split('\n').slice(2).join('\n') : '';
    failure.stack = `${failure.name}: ${failure.message}\n${frames}`;
    throw failure;
  }
}
