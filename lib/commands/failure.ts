// How commands end.
import { CornerNetError, sentenceOf } from '../errors.js';

export const exitCodes = { done: 0, failed: 1, someFailed: 2, interrupted: 130 } as const;

/** `CODE: sentence` on standard error. */
export function reportFailure(error: unknown): void {
  const code = error instanceof CornerNetError ? error.code : 'ERR_INTERNAL';
  console.error(`${code}: ${sentenceOf(error)}`);
  if (code === 'ERR_INTERNAL' && error instanceof Error && error.stack !== undefined) console.error(error.stack);
}
