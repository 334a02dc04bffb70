// What may be heard and said while something long runs, checked as its options are: a misspelt one would never be heard.
import { z } from 'zod';

import { validated } from '../validation.js';

export const signalSchema = z.instanceof(AbortSignal).optional();
export const listenerSchema = z.custom((value) => typeof value === 'function', 'must be a function').optional();
const schemas = { signal: signalSchema, finish: signalSchema, onMessage: listenerSchema, onProgress: listenerSchema };

/** @throws {CornerNetError} `ERR_OPTION` naming the control that is not one of `names`, or not of its kind. */
export function checkControls<T extends object>(controls: T, ...names: readonly (keyof T & keyof typeof schemas)[]): T {
  const shape = Object.fromEntries(names.map((name: keyof typeof schemas) => [name, schemas[name]] as const));
  validated(z.strictObject(shape), controls, { code: 'ERR_OPTION', what: 'option' });
  return controls;
}
