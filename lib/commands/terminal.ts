// What commands print. Nothing else in them writes to the console, so that all of it is plain.
import { plain } from '../terminal.js';

/** A line of output. */
export function print(text: string): void {
  console.log(plain(text));
}

/** A line beside the output, on standard error. */
export function tell(text: string): void {
  console.error(plain(text));
}

/** A table whose cells are plain, or JSON. */
export function printMade(text: string): void {
  console.log(text);
}
