// Names, labels and sentences from anywhere as people may see them: as text that does nothing to a terminal.
import type { Writable } from 'node:stream';

import { script } from './setup.js';

/** The set-up's own, which runs before anything is compiled. */
const own = (): { plain(text: string): string; spellOut(text: string): string } => script('plain.js');

/** Control characters spelt out, further lines indented. */
export function plain(text: string): string {
  return own().plain(text);
}

/** JSON, CSV or a table: where `stream` is a terminal, control characters are spelt out. */
export function shownOn(stream: Writable & { readonly isTTY?: boolean }, text: string): string {
  return stream.isTTY === true ? own().spellOut(text) : text;
}
