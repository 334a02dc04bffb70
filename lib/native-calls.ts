// Calls of one of the addon's objects: each has an id, by which an abort gives it up.
import { abortable } from './abort.js';
import { fromNative } from './errors.js';

/** Makes a call under the id that it is given. */
export type NativeCall = <T>(work: (id: number) => Promise<T>) => Promise<T>;

/** @param signal rejects with its reason, at once, every call that it finds under way. */
export function nativeCalls(native: { cancel(id: number): void }, signal: AbortSignal | undefined): NativeCall {
  let calls = 0;
  return (work) => {
    const id = ++calls;
    return abortable(
      signal,
      () => fromNative(work(id)),
      () => native.cancel(id),
    );
  };
}
