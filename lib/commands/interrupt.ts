// Ctrl-C and SIGTERM: the first lets what is in flight finish, the second gives it up.

/** Why a command ended early. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

const signals = ['SIGINT', 'SIGTERM'] as const;

export interface Interrupt {
  /** Aborts at the first: begin nothing new. */
  readonly finish: AbortSignal;
  /** Aborts at the second. */
  readonly signal: AbortSignal;
  release(): void;
}

export function onInterrupt(say: (text: string) => void): Interrupt {
  const finish = new AbortController();
  const abort = new AbortController();
  const listener = (): void => {
    if (finish.signal.aborted) {
      abort.abort(new Interrupted());
    } else {
      finish.abort(new Interrupted());
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
