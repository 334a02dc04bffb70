// What takes minutes and other compilers: fuzzing from the kept corpus, and the sanitizers. In continuous integration; by hand `npm run fuzz` and
// `npm run test:sanitize`.
import { join } from 'node:path';

import { root, runQuietly } from '../environment.js';

describe('hardening', function () {
  this.timeout(40 * 60_000);

  before(function () {
    if (process.env['CORNERNET_REQUIRE'] === '1') return;
    console.log('    skipped: takes some ten minutes; CORNERNET_REQUIRE=1, npm run fuzz and npm run test:sanitize run it');
    this.skip();
  });

  const runScript = async (script: string, ...args: string[]): Promise<void> => {
    await runQuietly(process.execPath, [join(root, 'scripts', script), ...args]);
  };

  it("the CUDA kernels' bodies race for nothing and keep to their memory, at a real network's shapes", () =>
    runScript('sanitize.js', 'kernels'));
  it('threads race for nothing (ThreadSanitizer)', () => runScript('sanitize.js', 'thread'));
  it('memory and arithmetic are sound (AddressSanitizer, UndefinedBehaviorSanitizer)', () => runScript('sanitize.js', 'address'));
  it('ten minutes of fuzzing find nothing', () => runScript('fuzz.js', '--minutes', '10'));
});
