// How commands end.
import { CornerNetError, sentenceOf } from '../errors.js';
import { tell } from './terminal.js';

export const exitCodes = { done: 0, failed: 1, someFailed: 2, interrupted: 130 } as const;

/** `CODE: sentence` on standard error, `what` before the sentence. */
export function reportFailure(error: unknown, what?: string): void {
  const code = error instanceof CornerNetError ? error.code : 'ERR_INTERNAL';
  tell(`${code}: ${what === undefined ? '' : `${what}: `}${sentenceOf(error)}`);
  if (code === 'ERR_INTERNAL' && error instanceof Error && error.stack !== undefined) tell(error.stack);
}
