// AbortSignal around work that can't be stopped at once.

/**
 * Settles with `work`, or rejects with the signal's reason as soon as it aborts; what `work` then comes to is dropped.
 * `onAbort` may tell whoever works that nobody waits any more.
 */
export async function abortable<T>(signal: AbortSignal | undefined, work: () => Promise<T>, onAbort?: () => void): Promise<T> {
  if (!signal) return work();
  signal.throwIfAborted();
  let stopListening: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    const listener = (): void => {
      onAbort?.();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', listener, { once: true });
    stopListening = () => signal.removeEventListener('abort', listener);
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    stopListening?.();
  }
}
