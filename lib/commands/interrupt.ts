// Ctrl-C and SIGTERM: the first lets what is in flight finish, the second gives it up, the third ends the process.

import { isAtWork } from '../images/deadline.js';
import { tell } from './terminal.js';

/** Why a command ended early. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

const signals = ['SIGINT', 'SIGTERM'] as const;
/** What is still being read or decoded when all is done comes to its end within that, unless it hangs. */
const longestHangMs = 5_000;
/** Giving up takes no longer unless something hangs, all that a supervisor grants its processes and a worker its chunk included; then the process is ended. */
const longestGivingUpMs = 15_000;
/** What comes so soon after another is the same Ctrl-C: npx forwards what the terminal has sent to both, late where the machine is busy. */
const sameMs = 100;

export interface Interrupt extends Disposable {
  /** Aborts at the first: begin nothing new. */
  readonly finish: AbortSignal;
  /** Aborts at the second. */
  readonly signal: AbortSignal;
}

/** By a signal: an orderly end would wait for threads that may be blocked. Shells see 130, as after any Ctrl-C. */
function endAtOnce(): void {
  process.removeAllListeners('SIGINT');
  process.kill(process.pid, 'SIGINT');
  process.abort(); // nobody gets here but a container's first process, which the kernel keeps from such signals
}

/** Call it when all is done: a read or a decoder that hangs does not keep the process. */
export function endThoughBlocked(): void {
  if (!isAtWork()) return;
  setTimeout(() => {
    tell('cornernet: a read or a decoder hangs: the process is ended by a signal');
    endAtOnce();
  }, longestHangMs).unref();
}

export function onInterrupt(say: (text: string) => void): Interrupt {
  const finish = new AbortController();
  const abort = new AbortController();
  let heard = false;
  const listener = (): void => {
    if (heard) return;
    heard = true;
    // From when what the first one sets off is done: until then a second one may wait to be heard.
    setImmediate(() => setTimeout(() => (heard = false), sameMs).unref());
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
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}
