// Memory stays on a plateau over thousands of pictures.
import { strict as assert } from 'node:assert';

import { runScript } from '../support/child.js';

/**
 * Detections beyond the five hundredth may add this much: the C library's arenas and V8's heap breathe by some tens of megabytes.
 * A leak of one 255x127 input (390 KB) a picture would add 580 MB.
 */
const breathingMegabytes = 60;

describe('memory', function () {
  this.timeout(300_000);

  it('2,000 detections leave it where 500 left it', async () => {
    const { code, stdout, stderr } = await runScript(`
      const detector = await Detector.load('digits', { precision: 'fp32' });
      const megabytes = () => process.memoryUsage().rss / 1e6;
      let after500 = 0;
      for (let i = 0; i < 2000; i++) {
        await detector.detect(picture(i, i % 2 ? 120 : 200, 100), { scoreThreshold: 0 });
        if (i === 499) after500 = megabytes();
      }
      console.log(JSON.stringify({ grown: megabytes() - after500, pictures: detector.stats.pictures }));
    `);
    assert.deepEqual([code, stderr], [0, '']);
    const { grown, pictures } = JSON.parse(stdout) as { grown: number; pictures: number };
    assert.equal(pictures, 2000);
    assert.ok(grown < breathingMegabytes, `memory grew by ${grown} MB`);
  });
});
