// Names, labels and sentences from anywhere as people may see them: as text that does nothing to a terminal.
import { script } from './setup.js';

/** Control characters spelt out, further lines indented. The set-up's own, which runs before anything is compiled. */
export function plain(text: string): string {
  return script<{ plain(text: string): string }>('plain.js').plain(text);
}
