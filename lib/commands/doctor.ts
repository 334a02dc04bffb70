// cornernet doctor: what is here, what isn't, and the one remedy for each problem.
import { existsSync } from 'node:fs';

import type { Command } from 'commander';

import { cacheFolder } from '../weights/cache.js';
import { sentenceOf } from '../errors.js';
import { addonPaths, loadNative, type NativeBuildInfo } from '../native.js';
import { findLibtorch, probeGpus } from '../setup.js';
import { listWeights, weightsPath } from '../weights/weights.js';
import { exitCodes } from './failure.js';

interface Finding {
  readonly subject: string;
  readonly found: string;
  /** What to do about it; absent where all is well. */
  readonly remedy?: string;
}

function nodeFinding(): Finding {
  const found = `${process.version} on ${process.platform} ${process.arch}`;
  if (process.platform === 'linux' && process.arch === 'x64') return { subject: 'Node', found };
  return { subject: 'Node', found, remedy: 'the addon is built for Linux on x86-64 only' };
}

async function libtorchFindings(): Promise<Finding[]> {
  const passedOver: Finding[] = [];
  const libtorch = await findLibtorch((text) => passedOver.push({ subject: 'LibTorch', found: text }));
  if (!libtorch) return [...passedOver, { subject: 'LibTorch', found: 'none', remedy: 'run `npx cornernet setup`' }];
  return [
    ...passedOver,
    { subject: 'LibTorch', found: `${libtorch.version} (${libtorch.cuda ? 'CUDA' : 'CPU'}) from ${libtorch.source}: ${libtorch.folder}` },
  ];
}

function addonFindings(): { findings: Finding[]; info?: NativeBuildInfo } {
  const path = addonPaths().find((candidate) => existsSync(candidate));
  try {
    const info = loadNative().buildInfo();
    const cuda = info.cuda ? `with CUDA ${info.cudaVersion}` : 'without CUDA';
    const findings = [
      { subject: 'Addon', found: `${path ?? ''}, LibTorch ${info.libtorchVersion}, ${cuda}` },
      { subject: 'CPU', found: `${info.cores} cores usable; ${info.cpuFeatures.join(', ') || 'no AVX2'}` },
    ];
    return { findings, info };
  } catch (error) {
    return { findings: [{ subject: 'Addon', found: path ?? 'not built', remedy: sentenceOf(error) }] };
  }
}

async function gpuFindings(info: NativeBuildInfo | undefined): Promise<Finding[]> {
  const { gpus, cuda } = await probeGpus();
  if (gpus.length === 0) return [{ subject: 'GPU', found: 'none (no NVIDIA driver)' }];
  return gpus.map(({ name, computeCapability }, index) => {
    const found = `${name}, compute capability ${computeCapability.toFixed(1)}, driver for CUDA ${cuda.toFixed(1)}`;
    if (info?.devices[index]?.hasCode) return { subject: 'GPU', found: `${found}; this build has code for it` };
    if (info?.cuda === false)
      return {
        subject: 'GPU',
        found,
        remedy: 'this build has no CUDA side: install the CUDA toolkit (nvcc) and run `npx cornernet setup`',
      };
    const volta = computeCapability < 7.5 ? ': a cu126 build of LibTorch and CUDA 12 have code for it' : '';
    return { subject: 'GPU', found, remedy: `this build has no code for it${volta}; run \`npx cornernet setup\`` };
  });
}

function weightsFindings(): Finding[] {
  return listWeights().map((entry) => ({
    subject: 'Weights',
    found: `${entry.id}: ${existsSync(weightsPath(entry)) ? weightsPath(entry) : `not fetched (\`npx cornernet weights fetch ${entry.id}\`)`}`,
  }));
}

async function examine(): Promise<Finding[]> {
  const { findings, info } = addonFindings();
  return [
    nodeFinding(),
    ...findings,
    ...(await libtorchFindings()),
    ...(await gpuFindings(info)),
    { subject: 'Cache', found: `${cacheFolder()}${existsSync(cacheFolder()) ? '' : ' (not there yet)'}` },
    ...weightsFindings(),
  ];
}

export function register(command: Command): void {
  command.option('--json', 'as JSON').action(async ({ json }: { json?: boolean }) => {
    const findings = await examine();
    if (json === true) {
      console.log(JSON.stringify({ findings }, null, 2));
    } else {
      for (const { subject, found, remedy } of findings) {
        console.log(`${remedy === undefined ? ' ok ' : 'FIX '} ${subject.padEnd(9)} ${found}`);
        if (remedy !== undefined) console.log(`     -> ${remedy}`);
      }
    }
    process.exitCode = findings.some(({ remedy }) => remedy !== undefined) ? exitCodes.failed : exitCodes.done;
  });
}
