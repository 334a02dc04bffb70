// Names, labels and sentences from anywhere as people may see them: as text that does nothing to a terminal.
import type { Writable } from 'node:stream';

import { script } from './setup.js';

/** Control characters spelt out, further lines indented. */
export function plain(text: string): string {
  return script('plain.js').plain(text);
}

/** JSON, CSV or a table: where `stream` is a terminal, control characters are spelt out. */
export function shownOn(stream: Writable & { readonly isTTY?: boolean }, text: string): string {
  return stream.isTTY === true ? script('plain.js').spellOut(text) : text;
}
