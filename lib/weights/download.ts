// Fetching: the resuming downloader of the set-up, whose failures become CornerNetErrors.
import { CornerNetError, sentenceOf } from '../errors.js';
import { isUnwritable, unwritable } from '../output-file.js';
import { script } from '../setup.js';

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes, those of earlier tries included. */
  readonly received: number;
  /** Unknown when the server doesn't say. */
  readonly total?: number;
}

/** What to fetch and where to put it. */
export interface DownloadRequest {
  readonly url: string;
  readonly file: string;
  /** The whole sha256 or its first digits. */
  readonly sha256?: string;
  /** Hold the whole sha256 from the first time on, in `<file>.sha256`. */
  readonly pin?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Milliseconds without a byte after which a connection is given up. Default 30,000. */
  readonly stallMs?: number | undefined;
  /** Milliseconds before the second of five tries, doubled before each further one. Default 500. */
  readonly pauseMs?: number | undefined;
}

/**
 * Downloads aside over https, verifies, renames.
 * @returns the sha256.
 * @throws {CornerNetError} `ERR_DOWNLOAD`, `ERR_WRITE`; an abort rejects with the signal's reason.
 */
export async function download(request: DownloadRequest): Promise<string> {
  try {
    return await script('download.js').download(request);
  } catch (error) {
    request.signal?.throwIfAborted();
    const lack = [error, (error as Error).cause].find(isUnwritable);
    if (lack !== undefined) throw unwritable(request.file, lack);
    throw new CornerNetError('ERR_DOWNLOAD', sentenceOf(error), { cause: error });
  }
}
