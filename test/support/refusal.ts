// The CornerNetError that an attempt ends with.
import { strict as assert } from 'node:assert';

import { CornerNetError } from '../../lib/errors.js';

export async function refusal(attempt: Promise<unknown>): Promise<CornerNetError> {
  const error: unknown = await attempt.then(
    () => 'nothing was refused',
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CornerNetError, String(error));
  return error;
}

/** As the command line says it. */
export async function refusalText(attempt: Promise<unknown>): Promise<string> {
  const { code, message } = await refusal(attempt);
  return `${code}: ${message}`;
}
