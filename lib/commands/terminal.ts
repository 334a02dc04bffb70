// What commands print. Nothing else in them writes to the console, so that all of it is plain.
import { plain, shownOn } from '../terminal.js';

let isClosed = false;
let whenClosed: (() => void) | undefined;

/** A line of output. */
export function print(text: string): void {
  printMade(plain(text));
}

/** A line beside the output, on standard error. */
export function tell(text: string): void {
  console.error(plain(text));
}

/** What a command says of itself, on standard error. */
export function say(text: string): void {
  tell(`cornernet: ${text}`);
}

/** A table whose cells are plain, or JSON. */
export function printMade(text: string): void {
  if (!isClosed) console.log(shownOn(process.stdout, text));
}

/** What is done, once, instead of ending when nobody takes the output any more: for commands whose output is not all that they do. */
export function whenOutputFails(then: () => void): void {
  whenClosed = then;
}

/** `cornernet detect ... | head` closes our output early: that is no failure, unless there is more to do. */
export function outputFailed(error: NodeJS.ErrnoException): void {
  if (isClosed) return;
  isClosed = true;
  if (error.code !== 'EPIPE') tell(`ERR_WRITE: standard output can't be written: ${error.message}`);
  if (whenClosed) whenClosed();
  else process.exit(error.code === 'EPIPE' ? (process.exitCode ?? 0) : 1);
}
