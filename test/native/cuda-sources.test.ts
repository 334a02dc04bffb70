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

interface KernelReport {
  readonly name: string;
  readonly precision: 'fp32' | 'fp16' | 'bf16' | undefined;
  /** Its other template arguments. */
  readonly arguments: readonly string[];
  readonly architectures: number;
  readonly loads: readonly number[];
  readonly stores: readonly number[];
}

const line =
  /^\w+ (\w+)(?:<(.*)>)?: (\d+) architectures, \d+-\d+ registers, \d+ bytes static shared, 0 local and 0 generic accesses, loads ([\d ]+), stores ([\d ]+) bits$/;

function parse(report: string): KernelReport {
  const [, name = '', args = '', architectures, loads = '', stores = ''] = line.exec(report) ?? assert.fail(report);
  const [precision, ...rest] = args.split(', ');
  return {
    name,
    precision: precision as KernelReport['precision'],
    arguments: rest,
    architectures: Number(architectures),
    loads: loads.split(' ').map(Number),
    stores: stores.split(' ').map(Number),
  };
}

/** Kernels that move packs of elements do so in one access, up to 16 bytes: the first argument behind the precision is the pack. */
const packed = ['scan_rows_kernel', 'scan_columns_kernel', 'upsample_add_kernel'];
const packBits = ({ precision, arguments: [pack] }: KernelReport): number => Number(pack) * (precision === 'fp32' ? 32 : 16);

function hold(output: string, architectures: number): void {
  console.log(output.replace(/^/gm, '      '));
  const kernels = output.trim().split('\n').map(parse);
  assert.equal(new Set(output.match(/^\w+/gm)).size, sources.length);
  for (const kernel of kernels) assert.equal(kernel.architectures, architectures, kernel.name);
  const vectors = kernels.filter(({ name }) => packed.includes(name));
  for (const name of packed) assert.ok(vectors.some((kernel) => kernel.name === name), name); // prettier-ignore
  for (const kernel of vectors) {
    assert.ok(kernel.loads.includes(packBits(kernel)), JSON.stringify(kernel));
    if (kernel.name !== 'scan_columns_kernel') assert.deepEqual([...kernel.stores], [packBits(kernel)]);
  }
}

describe('CUDA sources', function () {
  this.timeout(900_000);

  for (const [compiler, architectures, title] of [
    ['nvcc', 7, 'compile with nvcc for 7.5 to 12.0, warnings being errors'],
    ['sm_70', 1, 'compile to sm_70 machine code, for the V100'],
  ] as const) {
    it(`${title}; the machine code spills nothing and moves packs whole`, async function () {
      await orSkip(this, () => need('python3'));
      if (compiler === 'nvcc') await orSkip(this, () => need('nvcc'));
      hold(await runQuietly(join(root, 'scripts', 'cuda_check.py'), [compiler]), architectures);
    });
  }
});
