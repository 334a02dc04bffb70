// AbortSignals and deadlines around work that can't be stopped at once.

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

/** What `work` comes to; after so many milliseconds what `late` gives, or throws, and the work goes on by itself. */
export async function orLate<T, L>(work: Promise<T>, ms: number, late: () => L | Promise<L>): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const alarm = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))).then(late);
  try {
    return await Promise.race([work, alarm]);
  } finally {
    clearTimeout(timer);
  }
}
