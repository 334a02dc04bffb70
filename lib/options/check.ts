// What a detector is asked for, checked: every option known, in its place and in its range.
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { listed, shown, suggestion, validated } from '../validation.js';
import type { DetectAllOptions, DetectOptions, LoadOptions } from './interfaces.js';
import { callTable, detectAllTable, deviceSchema, loadTable, shapeOf } from './table.js';
import type { Abortable, Device } from './values.js';

const signal = z.instanceof(AbortSignal).optional();
const loadSchema = z.strictObject({ ...shapeOf({ ...callTable, ...loadTable }), signal });
const detectSchema = z.strictObject({ ...shapeOf(callTable), signal });
const detectAllSchema = z.strictObject({ ...shapeOf({ ...callTable, ...detectAllTable }), signal });
const listener = z.custom((value) => typeof value === 'function', 'must be a function').optional();
const controlRows = { signal, finish: signal, onMessage: listener, onProgress: listener };
const poolSchema = z.strictObject({ device: deviceSchema.optional() });

/** Where an option belongs that the call at hand doesn't take. */
function elsewhere(key: string): string | undefined {
  if (Object.hasOwn(loadTable, key)) return ': it belongs to Detector.load';
  if (Object.hasOwn(detectAllTable, key)) return ': it belongs to detectAll';
  return undefined;
}

function check<T>(schema: z.ZodType<T>, options: unknown): T {
  return validated(schema, options, { code: 'ERR_OPTION', what: 'option', unknownKey: elsewhere });
}

/** @throws {CornerNetError} `ERR_OPTION` naming the option, what it was and what is allowed. */
export function checkLoadOptions(options: unknown): LoadOptions & Abortable {
  return check(loadSchema, options) as LoadOptions & Abortable; // a device is a string of the right form
}

/** As {@link checkLoadOptions}, for one call. */
export function checkDetectOptions(options: unknown): DetectOptions & Abortable {
  return check(detectSchema, options);
}

/** As {@link checkLoadOptions}, for `cornerPool`. */
export function checkPoolOptions(options: unknown): { readonly device?: Device } {
  return check(poolSchema, options) as { readonly device?: Device };
}

/** As {@link checkLoadOptions}, for `detectAll`. */
export function checkDetectAllOptions(options: unknown): DetectAllOptions {
  return check(detectAllSchema, options);
}

/** As {@link checkLoadOptions}, of what may be heard and said while a long call runs: those controls of these names that it has. */
export function checkControls<T extends object>(controls: T, names: readonly (keyof T & keyof typeof controlRows)[]): T {
  const rows = Object.fromEntries(names.map((name): [string, z.ZodType] => [name, controlRows[name]]));
  return validated(z.strictObject(rows), controls, { code: 'ERR_OPTION', what: 'control' }) as T;
}

/** Class ids of names and ids; digits are an id where no class is called so. */
export function resolveClasses(wanted: readonly (string | number)[], names: readonly string[]): number[] {
  return wanted.map((one) => {
    const id = typeof one === 'string' && (names.includes(one) || !/^\d+$/.test(one)) ? names.indexOf(one) : Number(one);
    if (id >= 0 && id < names.length) return id;
    const commas = names.some((name) => name.includes(',')) ? ', which do for names with commas too' : '';
    throw new CornerNetError(
      'ERR_OPTION',
      `option classes has ${shown(one)}${suggestion(String(one), names)}, but these weights detect ${listed(names, 12)} (ids 0 to ${names.length - 1}${commas})`,
    );
  });
}

/** Names of the classes that option classes keeps. */
export function keptNames(wanted: LoadOptions['classes'], names: readonly string[]): readonly string[] {
  return wanted ? resolveClasses(wanted, names).map((id) => names[id] ?? '') : names;
}
