// Every CUDA source compiles for every architecture, on machines without a GPU too.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { orSkip, root, runQuietly, Unavailable } from '../environment.js';

function need(program: string): Promise<void> {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' });
  return error ? Promise.reject(new Unavailable(`${program} is not installed`)) : Promise.resolve();
}

const sources = readdirSync(join(root, 'csrc'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.cu'));

describe('CUDA sources', function () {
  this.timeout(900_000);

  it('compile with nvcc, warnings being errors', async function () {
    await orSkip(this, () => need('nvcc'));
    const output = await runQuietly(join(root, 'scripts', 'cuda-check.sh'), ['nvcc']);
    assert.equal(output.trim().split('\n').length, sources.length);
  });

  it('compile to sm_70 machine code, for the V100, without spilling', async function () {
    await orSkip(this, () => need('python3'));
    const output = await runQuietly(join(root, 'scripts', 'cuda-check.sh'), ['sm_70']);
    const reports = output.trim().split('\n');
    assert.equal(reports.length, sources.length);
    for (const report of reports) assert.match(report, /: [1-9]\d* kernels for sm_70, .*, 0 bytes spilled$/);
  });
});
