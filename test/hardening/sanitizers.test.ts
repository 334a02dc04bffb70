// The native tests and a selection of the others under the sanitizers; by hand `npm run test:sanitize`.
import { join } from 'node:path';

import { root, runQuietly } from '../environment.js';
import { asked, fuzzing, skipUnlessAsked } from './beside.js';

describe('sanitizers', function () {
  this.timeout(40 * 60_000);

  before(function () {
    skipUnlessAsked(this);
  });
  after(function () {
    if (asked) void fuzzing();
  });

  const sanitize = (name: string): Promise<string> => runQuietly(process.execPath, [join(root, 'scripts', 'sanitize.js'), name]);

  it("the CUDA kernels' bodies race for nothing and keep to their memory, at a real network's shapes", async () => {
    await sanitize('kernels');
  });
  it('threads race for nothing (ThreadSanitizer)', async () => {
    await sanitize('thread');
  });
  it('memory and arithmetic are sound (AddressSanitizer, UndefinedBehaviorSanitizer)', async () => {
    await sanitize('address');
  });
});
