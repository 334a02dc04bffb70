// Work in the pool's threads (libuv's), which nothing can end: it is waited for so long and no longer, and known to go on until it comes back.
import { setTimeout as sleep } from 'node:timers/promises';

import { orLate } from '../abort.js';
import { CornerNetError } from '../errors.js';

/** The threads of this process that read and decode. */
export const poolSize = Number(process.env['UV_THREADPOOL_SIZE']) || 4;

const work = { going: 0, late: 0 };

/** Work that began with other work is late with it, give or take. */
const graceMs = 500;

/** Whether work goes on that is late and that nobody waits for any more: until it is done, its thread does nothing else. */
export function isBlocked(): boolean {
  return work.late > 0;
}

/** Whether any work goes on, waited for or not: an orderly end of the process would wait for it. */
export function isAtWork(): boolean {
  return work.going > 0;
}

/** No thread is left: whether it hangs in this picture or in others, this doesn't say. */
export class AllBlocked extends CornerNetError {
  constructor(what: string) {
    super('ERR_INPUT', `${what} can't be read: every thread that reads and decodes hangs`);
  }
}

/**
 * @param seconds 0 for as long as it takes.
 * @param what takes its time, for the error.
 * @throws {CornerNetError} `ERR_INPUT` when it takes longer, or no thread is left for it.
 */
export async function within<T>(seconds: number, what: string, begin: () => Promise<T>): Promise<T> {
  if (work.late >= poolSize) throw new AllBlocked(what);
  let isLate = false;
  work.going++;
  const working = begin().finally(() => {
    work.going--;
    if (isLate) work.late--;
  });
  if (seconds === 0) return working;
  return orLate(working, seconds * 1000, async () => {
    isLate = true;
    work.late++;
    // With more work than threads, some waits for one; where all of them hang, nobody knows which.
    const isCrowded = work.going > poolSize;
    if (isCrowded) await sleep(graceMs);
    if (isCrowded && work.late >= poolSize) throw new AllBlocked(what);
    throw new CornerNetError('ERR_INPUT', `${what} takes longer than the ${seconds} s that timeout allows`);
  });
}
