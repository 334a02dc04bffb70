// From the demo's weights to a detector of other classes in a few dozen steps.
import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { train } from '../../lib/train.js';
import { evenOdd } from '../support/even-odd.js';

it('training: the demo learns to tell even digits from odd ones', async function () {
  this.timeout(900_000);
  const scratch = await mkdtemp(join(tmpdir(), 'cornernet-fine-tuning-'));
  try {
    const { bestAP, classes } = await train({
      ...(await evenOdd(scratch)),
      ...{ output: join(scratch, 'run'), from: 'digits', freeze: 'backbone', augment: 'unmirrored' },
      ...{ iterations: 30, batchSize: 8, crop: 192, learningRate: 1e-3, warmup: 10 },
    });
    assert.deepEqual(classes, ['even', 'odd']);
    // 0.33 with thirty steps of a longer schedule.
    assert.ok(bestAP !== null && bestAP > 0.2, `AP ${bestAP}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
