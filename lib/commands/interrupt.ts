// Ctrl-C: the first lets what is in flight finish, the second gives it up.

export interface Interrupt {
  /** The first Ctrl-C came: begin nothing new. */
  readonly stopping: boolean;
  /** Aborts at the second. */
  readonly signal: AbortSignal;
  release(): void;
}

export function onInterrupt(say: (text: string) => void): Interrupt {
  const aborter = new AbortController();
  let stopping = false;
  const listener = (): void => {
    if (stopping) {
      aborter.abort(new Error('interrupted'));
    } else {
      stopping = true;
      say('finishing what is in flight; press Ctrl-C again to give it up');
    }
  };
  process.on('SIGINT', listener);
  return {
    get stopping() {
      return stopping;
    },
    signal: aborter.signal,
    release: () => process.off('SIGINT', listener),
  };
}
