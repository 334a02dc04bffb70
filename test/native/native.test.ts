// Runs every native test (test/native/*_test.cpp) as a mocha test of its own.
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { root, skipBecause } from '../environment.js';

interface NativeTests {
  names(): string[];
  /** The reason when the test was skipped. */
  run(name: string): string | undefined;
}

const tests = createRequire(__filename)(join(root, 'build', 'Release', 'cornernet_testing.node')) as NativeTests;

describe('native', () => {
  for (const name of tests.names()) {
    it(name, function () {
      const reason = tests.run(name);
      if (reason !== undefined) skipBecause(this, reason);
    });
  }
});
