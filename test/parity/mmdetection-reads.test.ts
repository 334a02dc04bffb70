// mmdetection's own init_detector on what training leaves. Only where CORNERNET_MMDETECTION names a Python that has mmdetection 3.x: setting one up takes
// minutes (bench/environment.ts does it for the peers), so nobody is asked for it.
import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Detector } from '../../lib/index.js';
import { train } from '../../lib/train.js';
import { fixtures } from '../environment.js';
import { smallAnnotations, writeSmallAnnotations } from '../support/small-training.js';
import { assertSameHeads, tolerance, type ReferenceImage } from './reference.js';

const python = process.env['CORNERNET_MMDETECTION'];

if (python !== undefined) {
  it('mmdetection reads what training leaves, and computes the same heads', async function () {
    this.timeout(600_000);
    const scratch = await mkdtemp(join(tmpdir(), 'cornernet-mmdetection-'));
    try {
      const { last } = await train({
        ...{ images: join(fixtures, 'training'), annotations: await writeSmallAnnotations(scratch), output: join(scratch, 'run') },
        ...{ iterations: 2, batchSize: 2, crop: 128 },
        // The widths of the stem and of the head are mmdetection's: its classes know no others.
        architecture: {
          ...{ stacks: 2, stemChannels: 8, featChannels: 16, stageChannels: [16, 16, 24], stageBlocks: [1, 1, 2] },
          ...{ poolChannels: 128, branchChannels: 256 },
        },
      });
      const picture = join(fixtures, 'photos', 'odd127.png');
      const script = join(__dirname, 'mmdetection_reads.py');
      const { stdout } = await promisify(execFile)(python, ['-W', 'ignore', script, last, picture], { maxBuffer: 1e8 });
      const read = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { classes: string[] } & Required<Pick<ReferenceImage, 'heads'>>;
      assert.deepEqual(
        read.classes,
        smallAnnotations.categories.map(({ name }) => name),
      );
      await using detector = await Detector.load(last, { device: 'cpu', precision: 'fp32' });
      assertSameHeads(await detector.heads(picture), read.heads, tolerance.heads);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}
