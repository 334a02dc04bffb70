// Work that goes on only as it was begun: what differs, in words.
import { isDeepStrictEqual } from 'node:util';

import { CornerNetError } from './errors.js';

/** A difference in words; undefined where there is none. */
export function difference(what: string, was: unknown, is: unknown): string | undefined {
  const shown = (value: unknown): string => (value === undefined ? 'not given' : JSON.stringify(value));
  return isDeepStrictEqual(was, is) ? undefined : `${what} was ${shown(was)} and is ${shown(is)}`;
}

/**
 * @param work - such as "the job in output"
 * @throws {CornerNetError} `ERR_JOB` that tells the differences, when there are any.
 */
export function refuseDifferences(work: string, found: readonly (string | undefined)[]): void {
  const differences = found.filter((sentence) => sentence !== undefined);
  if (differences.length === 0) return;
  const otherwise = `${work} was begun otherwise: ${differences.join('; ')}`;
  throw new CornerNetError('ERR_JOB', `${otherwise}; go on with its own settings, or begin another folder`);
}
