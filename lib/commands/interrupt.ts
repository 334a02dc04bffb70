// Ctrl-C: the first lets what is in flight finish, the second gives it up.

export interface Interrupt {
  /** Aborts at the first: begin nothing new. */
  readonly finish: AbortSignal;
  /** Aborts at the second. */
  readonly signal: AbortSignal;
  release(): void;
}

/** @param signals what counts as Ctrl-C. */
export function onInterrupt(say: (text: string) => void, signals: readonly NodeJS.Signals[] = ['SIGINT']): Interrupt {
  const finish = new AbortController();
  const abort = new AbortController();
  const listener = (): void => {
    if (finish.signal.aborted) {
      abort.abort(new Error('interrupted'));
    } else {
      finish.abort(new Error('interrupted'));
      say('finishing what is in flight; press Ctrl-C again to give it up');
    }
  };
  for (const signal of signals) process.on(signal, listener);
  return {
    finish: finish.signal,
    signal: abort.signal,
    release: () => {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}
