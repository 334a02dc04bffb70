// Ten minutes of fuzzing from the kept corpus, beside the tests that leave a core idle; by hand `npm run fuzz`. They begin when the sanitizers, which
// leave none, are done, and the last test waits for them (.mocharc.json).
import { join } from 'node:path';

import { root, runQuietly } from '../environment.js';

let begun: Promise<string> | undefined;

export function fuzzing(): Promise<string> {
  if (begun === undefined) {
    // A tenth of a core is left to it where the tests want all: its inputs take milliseconds, and ten seconds are a hang.
    begun = runQuietly('nice', ['-n', '10', process.execPath, join(root, 'scripts', 'fuzz.js'), '--minutes', '10', '--jobs', '1']);
    begun.catch(() => undefined); // whoever waits hears of it
  }
  return begun;
}

/** In continuous integration: it takes minutes, and other compilers. */
export const asked = process.env['CORNERNET_REQUIRE'] === '1';

export function skipUnlessAsked(context: Mocha.Context): void {
  if (asked) return;
  console.log('    skipped: takes some ten minutes; CORNERNET_REQUIRE=1, npm run fuzz and npm run test:sanitize run it');
  context.skip();
}
