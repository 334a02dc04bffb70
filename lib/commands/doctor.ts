// cornernet doctor: what is here, what isn't, and the one remedy for each problem.
import { existsSync } from 'node:fs';

import type { Command } from 'commander';

import { cacheFolder } from '../weights/cache.js';
import { sentenceOf } from '../errors.js';
import { addonPaths, loadNative, type NativeBuildInfo, type NativeGpuInfo } from '../native.js';
import { script, type GpuProbe, type SetupPlan } from '../setup.js';
import { print, printMade } from './terminal.js';
import { listWeights, weightsPath } from '../weights/weights.js';
import { exitCodes } from './failure.js';

interface Finding {
  readonly subject: string;
  readonly found: string;
  /** What to do about it; absent where all is well. */
  readonly remedy?: string;
}

function nodeFinding(): Finding {
  const remedy = script('platform.js').foreign();
  return { subject: 'Node', found: `${process.version} on ${process.platform} ${process.arch}`, ...(remedy !== undefined && { remedy }) };
}

/** What `setup` would do here, or why it can't. */
async function planFindings(): Promise<{ findings: Finding[]; plan?: SetupPlan }> {
  const findings: Finding[] = [];
  try {
    const plan = await script('plan.js').makePlan({ tell: (text) => findings.push({ subject: 'LibTorch', found: text }) });
    const { libtorch } = plan;
    if (!libtorch) return { plan, findings: [...findings, { subject: 'LibTorch', found: 'none that suits', remedy: fetching(plan) }] };
    const found = `${libtorch.version} (${libtorch.variant}) from ${libtorch.source}: ${libtorch.folder}`;
    const used = script('build.js').addonRecord()?.libtorch;
    const other = used !== undefined && (used.folder !== libtorch.folder || used.version !== libtorch.version);
    const remedy = other ? `the addon is for the one at ${used.folder}: run \`npx cornernet setup\`` : undefined;
    return { plan, findings: [...findings, { subject: 'LibTorch', found, ...(remedy !== undefined && { remedy }) }] };
  } catch (error) {
    return { findings: [...findings, { subject: 'LibTorch', found: 'none that can be used', remedy: sentenceOf(error) }] };
  }
}

function fetching({ fetch, prebuilt }: SetupPlan): string {
  const addon = prebuilt === undefined ? 'builds the addon' : 'takes the prebuilt addon';
  return `run \`npx cornernet setup\`, which fetches the ${fetch ?? ''} build of LibTorch and ${addon}`;
}

type AddonInfo = NativeBuildInfo & NativeGpuInfo;

function addonFindings(): { findings: Finding[]; info?: AddonInfo } {
  const path = addonPaths().find((candidate) => existsSync(candidate));
  try {
    const native = loadNative();
    const info = { ...native.buildInfo(), ...native.gpuInfo() };
    const cuda = info.cuda ? `with CUDA ${info.cudaVersion}` : 'without CUDA';
    const made = script('build.js').addonRecord()?.made;
    const findings = [
      { subject: 'Addon', found: `${path ?? ''}${made ? ` (${made})` : ''}, LibTorch ${info.libtorchVersion}, ${cuda}` },
      { subject: 'CPU', found: `${info.cores} cores usable; ${info.cpuFeatures.join(', ') || 'no AVX2'}` },
    ];
    return { findings, info };
  } catch (error) {
    return { findings: [{ subject: 'Addon', found: path ?? 'not built', remedy: sentenceOf(error) }] };
  }
}

/** Why the cuDNN that is installed does not serve a GPU; undefined where it does. cuDNN 9.11 left Maxwell, Pascal and Volta out. */
export function cudnnObstacle(cudnnVersion: number, computeCapability: number): string | undefined {
  if (cudnnVersion < 91100 || computeCapability >= 7.5) return undefined;
  const version = `${Math.floor(cudnnVersion / 10_000)}.${Math.floor(cudnnVersion / 100) % 100}.${cudnnVersion % 100}`;
  return `cuDNN ${version} no longer serves it: install one below 9.11 beside LibTorch (pip install 'nvidia-cudnn-cu12<9.11')`;
}

/**
 * Of a GPU that nvidia-smi lists. CUDA has another order, and only what CUDA_VISIBLE_DEVICES leaves: its devices of the same generation are meant.
 */
export function gpuFinding(
  { gpu: { name, computeCapability }, cuda }: { gpu: GpuProbe['gpus'][number]; cuda: number },
  info: Pick<AddonInfo, 'cuda' | 'cudnnVersion' | 'devices'> | undefined,
  plan: Pick<SetupPlan, 'fetch' | 'libtorch' | 'unused'> | undefined,
  left = process.env['CUDA_VISIBLE_DEVICES'],
): Finding {
  const found = `${name}, compute capability ${computeCapability.toFixed(1)}, driver for CUDA ${cuda.toFixed(1)}`;
  const seen = info?.devices.filter(({ major }) => major === Math.floor(computeCapability)) ?? [];
  const unseen = info?.cuda === true && seen.length === 0;
  const hidden = left !== undefined && (left === '' || left === '-1' || (info?.devices.length ?? 0) > 0);
  if (unseen && hidden) return { subject: 'GPU', found: `${found}; not used: CUDA_VISIBLE_DEVICES is '${left}'` };
  const obstacle = cudnnObstacle(info?.cudnnVersion ?? 0, computeCapability);
  if (obstacle !== undefined) return { subject: 'GPU', found, remedy: obstacle };
  if (seen.length > 0 && seen.every(({ hasCode }) => hasCode)) {
    const remedy = seen.find(({ obstacle }) => obstacle !== '')?.obstacle;
    return remedy === undefined ? { subject: 'GPU', found: `${found}; the addon has code for it` } : { subject: 'GPU', found, remedy };
  }
  if (plan?.unused !== undefined) return { subject: 'GPU', found, remedy: plan.unused };
  if (unseen) {
    const remedy = 'CUDA does not see it: look at the rights of /dev/nvidia*, and whether the driver was updated without a restart';
    return { subject: 'GPU', found, remedy };
  }
  const lacks = info === undefined ? '' : `the addon has no ${info.cuda ? 'code for it' : 'CUDA side'}: `;
  const build = plan?.fetch ?? plan?.libtorch?.variant;
  const remedy = `run \`npx cornernet setup\`${build === undefined ? '' : `, which takes the ${build} build of LibTorch`}`;
  return { subject: 'GPU', found, remedy: lacks + remedy };
}

async function gpuFindings(info: AddonInfo | undefined, plan: SetupPlan | undefined): Promise<Finding[]> {
  const { gpus, cuda } = await script('machine.js').probeGpus();
  if (gpus.length === 0) return [{ subject: 'GPU', found: 'none (no NVIDIA driver)' }];
  return gpus.map((gpu) => gpuFinding({ gpu, cuda }, info, plan));
}

function weightsFindings(): Finding[] {
  return listWeights().map((entry) => ({
    subject: 'Weights',
    found: `${entry.id}: ${existsSync(weightsPath(entry)) ? weightsPath(entry) : `not fetched (\`npx cornernet weights fetch ${entry.id}\`)`}`,
  }));
}

async function examine(): Promise<Finding[]> {
  const { findings, info } = addonFindings();
  const { findings: planned, plan } = await planFindings();
  return [
    nodeFinding(),
    ...findings,
    ...planned,
    ...(await gpuFindings(info, plan)),
    { subject: 'Cache', found: `${cacheFolder()}${existsSync(cacheFolder()) ? '' : ' (not there yet)'}` },
    ...weightsFindings(),
  ];
}

export function register(command: Command): void {
  command.option('--json', 'as JSON').action(async ({ json }: { json?: boolean }) => {
    const findings = await examine();
    process.exitCode = findings.some(({ remedy }) => remedy !== undefined) ? exitCodes.failed : exitCodes.done;
    if (json === true) {
      printMade(JSON.stringify({ findings }, null, 2));
    } else {
      for (const { subject, found, remedy } of findings) {
        print(`${remedy === undefined ? ' ok ' : 'FIX '} ${subject.padEnd(9)} ${found}`);
        if (remedy !== undefined) print(`     -> ${remedy}`);
      }
    }
  });
}
