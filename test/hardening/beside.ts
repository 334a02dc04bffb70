// What takes minutes and runs beside the tests that leave a core idle: a tenth of `npm run train:digits` from the first test on, and ten minutes of
// fuzzing from the kept corpus (by hand `npm run fuzz`) when the sanitizers, which leave no core, are done. The last tests wait for them (.mocharc.json).
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { root, runQuietly, skipBecause } from '../environment.js';

/** A command of the clone's, begun by the first call; where the tests want all cores, little is left to it. */
function beside(args: () => string[]): () => Promise<string> {
  let begun: Promise<string> | undefined;
  return () => {
    if (begun === undefined) {
      begun = runQuietly('nice', [process.execPath, ...args()]);
      begun.catch(() => undefined); // whoever waits hears of it
    }
    return begun;
  };
}

/** A twentieth of a core at least: its inputs take milliseconds, and a minute is a hang. */
export const fuzzing = beside(() => [join(root, 'scripts', 'fuzz.js'), '--minutes', '10', '--jobs', '1']);

/** Ten of the hundred epochs, with the schedule of ten. */
export const trainingOfDigits = beside(() => [
  ...[join(root, 'dist', 'cli.js'), 'train', '--config', join(root, 'scripts', 'train-digits.json')],
  ...['--epochs', '10', '--val-every', '10', '--threads', '1', '--progress', 'json'],
  ...['--output', mkdtempSync(join(tmpdir(), 'cornernet-digits-'))],
]);

/** In continuous integration: they take minutes, and fuzzing other compilers. */
export const asked = process.env['CORNERNET_REQUIRE'] === '1';

export function skipUnlessAsked(context: Mocha.Context): void {
  if (!asked)
    skipBecause(
      context,
      'takes some ten minutes; CORNERNET_REQUIRE=1, npm run fuzz, npm run test:sanitize and npm run train:digits run it',
    );
}
