// What tests need beyond Node: a Python environment with torch, the full-size checkpoint it draws (made once, kept in the cache), and a GPU.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { loadNative } from '../lib/native.js';
import { cacheFolder } from '../lib/weights/cache.js';

const run = promisify(execFile);

export const root = join(__dirname, '..');
export const fixtures = join(__dirname, 'fixtures');

const requirements = ['torch==2.13.0', 'numpy', 'pycocotools'];
/** Where pip looks besides the user's own configuration: a plain torch would be the CUDA build, several GB of it. */
const cpuIndex = 'https://download.pytorch.org/whl/cpu';

/** Thrown where something a test needs can't be had on this machine: the test is skipped with the reason, or fails under CORNERNET_REQUIRE=1. */
export class Unavailable extends Error {}

/** Skips the running test (or hook) with a printed reason: the one place where tests are left out. */
export function skipBecause(context: Mocha.Context, reason: string): never {
  console.log(`      skipped: ${reason}`);
  return context.skip();
}

/** {@link skipBecause} when `make` finds something missing. */
export async function orSkip<T>(context: Mocha.Context, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof Unavailable) || process.env['CORNERNET_REQUIRE'] === '1') throw error;
    return skipBecause(context, error.message);
  }
}

/**
 * Skips the running test (or hook) with a printed reason where there is no GPU, under CORNERNET_REQUIRE=1 too. The one place where tests in TypeScript
 * learn it: from the addon, which asks the same function as the native tests (test/native/op_cases.h).
 */
export function skipWithoutGpu(context: Mocha.Context): void {
  const obstacle = loadNative().gpuInfo().devices[0]?.obstacle ?? 'no CUDA device';
  if (obstacle !== '') skipBecause(context, obstacle);
}

/** Whether this CPU computes in it: elsewhere `ERR_DEVICE` says that it does not. */
export function cpuComputes(precision: 'bf16' | 'int8'): boolean {
  const { cpuFeatures } = loadNative().buildInfo();
  const any = { bf16: ['avx512f'], int8: ['avx512_vnni', 'avx_vnni', 'amx_int8'] }[precision];
  return any.some((feature) => cpuFeatures.includes(feature));
}

/** Skips the running test (or hook) with a printed reason where {@link cpuComputes} says no; under CORNERNET_REQUIRE=1 too, as no one can install it. */
export function skipUnlessCpuComputes(context: Mocha.Context, precision: 'bf16' | 'int8'): void {
  const lack = { bf16: 'no AVX-512, without which oneDNN has no bf16', int8: 'neither VNNI nor AMX' }[precision];
  if (!cpuComputes(precision)) skipBecause(context, `this CPU has ${lack}`);
}

/** Skips the running test with a printed reason where this user may not run `true` so, in name spaces of its own; under CORNERNET_REQUIRE=1 too. */
export function skipUnlessAllowed(context: Mocha.Context, [program = '', ...args]: readonly string[], reason: string): void {
  if (spawnSync(program, [...args, 'true']).status !== 0) skipBecause(context, reason);
}

async function installEnvironment(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const python = join(folder, 'bin', 'python');
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  try {
    await run('python3', ['-m', 'venv', folder]);
    const cpuOnly = requirements.map((name) => (name.startsWith('torch==') ? `${name}+cpu` : name));
    await run(python, [...pip, ...cpuOnly]).catch(() => run(python, [...pip, '--extra-index-url', cpuIndex, ...cpuOnly]));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw new Unavailable(
      `a Python environment with ${requirements.join(', ')} can't be made here (${(error as Error).message.split('\n')[0]})`,
    );
  }
}

let environment: Promise<string> | undefined;

/** The interpreter of a virtual environment with torch, numpy and pycocotools; CORNERNET_PYTHON names one that is there already. */
export function pythonWithTorch(): Promise<string> {
  return (environment ??= (async () => {
    const given = process.env['CORNERNET_PYTHON'];
    if (given) return given;
    const id = createHash('sha256').update(requirements.join('\n')).digest('hex').slice(0, 8);
    const folder = join(cacheFolder(), 'test', `python-${id}`);
    const stamp = join(folder, 'complete');
    if (!existsSync(stamp)) {
      console.log('      making a Python environment with torch (once; some minutes)');
      await installEnvironment(folder);
      await writeFile(stamp, '');
    }
    return join(folder, 'bin', 'python');
  })());
}

let checkpoint: Promise<string> | undefined;

/** A full HourglassNet-104 checkpoint with drawn weights (805 MB, zip container), as test/fixtures/hourglass104 describes it. */
export function hourglass104(): Promise<string> {
  return (checkpoint ??= (async () => {
    const file = join(cacheFolder(), 'test', 'hourglass104-1.pth');
    if (existsSync(file)) return file;
    const python = await pythonWithTorch();
    const part = `${file}.${process.pid}.part`;
    await runQuietly(python, [join(fixtures, 'hourglass104', 'make_hourglass104.py'), part]);
    await rename(part, file);
    return file;
  })());
}

/** Runs a program, and shows what it said only when it fails. */
export async function runQuietly(program: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${program} ${args.join(' ')} exited with ${code}:\n${err}${out}`)),
    );
  });
}
