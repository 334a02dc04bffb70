// The one place where a value that fails its schema becomes a sentence.
import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';

import { CornerNetError, type CornerNetErrorCode } from './errors.js';

/** What was given, shortened for a message. */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value);
  const text = typeof value === 'string' ? `'${value}'` : ((JSON.stringify(value) as string | undefined) ?? typeof value);
  const kind = Object.prototype.toString.call(value);
  if (text === '{}' && kind !== '[object Object]') return kind; // a Response, an AbortController, a Map
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The first of them, as many as a sentence bears. */
export function listed(names: readonly string[], most: number): string {
  return names.slice(0, most).join(', ') + (names.length > most ? ', ...' : '');
}

/** ` (did you mean X?)` for the nearest of the known names, if it is near: nearer than either is long, as any short name is near any other. */
export function suggestion(name: string, known: readonly string[]): string {
  const nearest = known.length > 0 ? closest(name.toLowerCase(), [...known]) : '';
  const steps = distance(name.toLowerCase(), nearest.toLowerCase());
  return steps < Math.min(name.length, nearest.length) && steps <= Math.max(2, name.length / 3) ? ` (did you mean ${nearest}?)` : '';
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
}

function keysOf(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  type Wrapper = { unwrap?: () => unknown; options?: readonly unknown[]; shape?: Record<PropertyKey, unknown> } | undefined;
  const unwrapped = (outer: unknown): Wrapper => {
    const { unwrap, options } = (outer ?? {}) as NonNullable<Wrapper>;
    const inner = unwrap ? unwrap.call(outer) : options?.at(-1);
    return inner === undefined ? (outer as Wrapper) : unwrapped(inner);
  };
  const at = path.reduce<unknown>((outer, key) => unwrapped(outer)?.shape?.[key], schema);
  return Object.keys(unwrapped(at)?.shape ?? {});
}

interface Refusal {
  readonly code: CornerNetErrorCode;
  /** What the value is: 'option', 'the file a.json:'; stands before the place in it. */
  readonly what: string;
  /** Says more of a key that the schema doesn't know, instead of a suggestion. */
  readonly unknownKey?: (key: string) => string | undefined;
}

/** The sentence of the first thing that is wrong, without what it is about. A union that has none of its own gives that of its last member. */
function complaint(schema: z.ZodType, value: unknown, issue: z.core.$ZodIssue, unknownKey: Refusal['unknownKey']): string {
  const inner = issue.code === 'invalid_union' && issue.message === 'Invalid input' ? issue.errors.at(-1)?.[0] : undefined;
  if (inner) return complaint(schema, value, { ...inner, path: [...issue.path, ...inner.path] }, unknownKey);
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const place = [...issue.path, key].join('.');
    return `${place} is unknown${unknownKey?.(key) ?? suggestion(key, keysOf(schema, issue.path))}`;
  }
  const place = issue.path.join('.') || 'the whole';
  if (issue.code === 'invalid_type' && at(value, issue.path) === undefined) return `${place} is missing`;
  return `${place} is ${shown(at(value, issue.path))}: ${issue.message}`;
}

/**
 * The value as its schema makes it.
 * @throws {CornerNetError} of the code, naming the first thing that is wrong, what it is and what is allowed.
 */
export function validated<T>(schema: z.ZodType<T>, value: unknown, { code, what, unknownKey }: Refusal): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CornerNetError(code, `${what} ${issue ? complaint(schema, value, issue, unknownKey) : 'is invalid'}`);
}
