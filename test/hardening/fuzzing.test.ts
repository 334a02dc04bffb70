import { strict as assert } from 'node:assert';

import { fuzzing, skipUnlessAsked } from './beside.js';

describe('fuzzing', function () {
  this.timeout(40 * 60_000);

  it('ten minutes find nothing', async function () {
    skipUnlessAsked(this);
    const held = (await fuzzing()).split('\n').filter((line) => line.includes(': held: '));
    console.log(held.map((line) => `      ${line}`).join('\n'));
    assert.ok(held.length >= 10, 'not every target ran');
  });
});
