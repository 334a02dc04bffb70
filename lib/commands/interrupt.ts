// Ctrl-C and SIGTERM: the first lets what is in flight finish, the second gives it up, the third ends the process.

/** Why a command ended early. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

const signals = ['SIGINT', 'SIGTERM'] as const;
/** Giving up takes no longer unless something hangs; then the process is ended. */
const longestGivingUpMs = 10_000;

export interface Interrupt {
  /** Aborts at the first: begin nothing new. */
  readonly finish: AbortSignal;
  /** Aborts at the second. */
  readonly signal: AbortSignal;
  release(): void;
}

/** What an orderly end would wait for, a thread that is blocked, does not stop this one. Shells see 130, as after any Ctrl-C. */
export function endAtOnce(): void {
  process.removeAllListeners('SIGINT');
  process.kill(process.pid, 'SIGINT');
}

export function onInterrupt(say: (text: string) => void): Interrupt {
  const finish = new AbortController();
  const abort = new AbortController();
  const listener = (): void => {
    if (abort.signal.aborted) {
      endAtOnce();
    } else if (finish.signal.aborted) {
      abort.abort(new Interrupted());
      setTimeout(endAtOnce, longestGivingUpMs).unref();
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
