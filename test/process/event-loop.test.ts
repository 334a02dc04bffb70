// The event loop, the file system and DNS stay free while the full network loads and runs.
import { strict as assert } from 'node:assert';

import { hourglass104, orSkip } from '../environment.js';
import { runScript } from '../support/child.js';

describe('the event loop', function () {
  this.timeout(600_000);

  it('turns while HourglassNet-104 loads and runs, and files and names are looked up meanwhile', async function () {
    const file = await orSkip(this, hourglass104);
    const { code, stdout, stderr } = await runScript(
      `
      const { readFile } = require('node:fs/promises');
      const { lookup } = require('node:dns/promises');
      // Counts what the loop gets done until the work is over.
      async function during(work) {
        let over = false;
        const counts = { turns: 0, files: 0, lookups: 0 };
        const done = work().finally(() => { over = true; });
        const turn = () => { counts.turns++; if (!over) setImmediate(turn); };
        turn();
        const files = (async () => { while (!over) { await readFile('package.json'); counts.files++; } })();
        const lookups = (async () => { while (!over) { await lookup('localhost'); counts.lookups++; } })();
        await Promise.all([done, files, lookups]);
        return counts;
      }
      let detector;
      const load = await during(async () => { detector = await Detector.load(process.env.CHECKPOINT, { scoreThreshold: 0 }); });
      const run = await during(() => detector.detect(picture(0, 500, 380)));
      await detector.close();
      console.log(JSON.stringify({ load, run }));
    `,
      { env: { ...process.env, CHECKPOINT: file } },
    );
    assert.deepEqual([code, stderr], [0, '']);
    // A blocked loop turns a handful of times; a free one thousands of times in the hundreds of milliseconds that this takes at the very least.
    for (const [what, counts] of Object.entries(JSON.parse(stdout) as Record<string, Record<string, number>>)) {
      assert.ok((counts['turns'] ?? 0) > 200, `${what}: the loop turned ${counts['turns'] ?? 0} times`);
      assert.ok((counts['files'] ?? 0) > 20 && (counts['lookups'] ?? 0) > 5, `${what}: ${JSON.stringify(counts)}`);
    }
  });
});
