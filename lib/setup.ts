// The set-up scripts as typed functions: plain JavaScript, because a clone runs them before anything is compiled.
import { join } from 'node:path';

import { packageRoot } from './native.js';

/** A LibTorch that is here. */
export interface FoundLibtorch {
  readonly folder: string;
  readonly version: string;
  /** 'cpu', 'cu126', ...; 'cuda' where it doesn't say which. */
  readonly variant: string;
  readonly source: 'LIBTORCH' | 'Python' | 'cache';
}

/** What `setup` would do: setup/plan.js. */
export interface SetupPlan {
  /** Absent where the build `fetch` would be fetched. */
  readonly libtorch?: FoundLibtorch;
  readonly fetch?: string;
  /** A prebuilt addon that fits; absent where one would be built. */
  readonly prebuilt?: string;
  readonly cuda: boolean;
  /** Why the GPUs that are here would not be used, and what would change that. */
  readonly unused?: string;
}

/** What `nvidia-smi` says. */
export interface GpuProbe {
  readonly gpus: readonly { readonly name: string; readonly computeCapability: number }[];
  /** The newest CUDA version the driver supports, 0 without a driver. */
  readonly cuda: number;
}

/** How the addon that is here came to be. */
export interface AddonRecord {
  readonly made: 'prebuilt' | 'built';
  readonly libtorch: FoundLibtorch;
}

export interface SetupOptions {
  /** A build (cpu, cu126, cu130) or a folder; default: $LIBTORCH, else what suits the machine. */
  readonly libtorch?: string | undefined;
  /** Build the addon though a prebuilt one fits. */
  readonly source?: boolean | undefined;
}

/** A script of the set-up. */
export function script<T>(name: string): T {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return require(join(packageRoot, 'setup', name)) as T;
}

/** Finds or fetches a LibTorch and readies the addon for it. Resolves with what was done, undefined when all was in place. */
export function setUp(options: SetupOptions): Promise<string | undefined> {
  return script<{ setUp(options: SetupOptions): Promise<string | undefined> }>('setup.js').setUp(options);
}

/** `tell` hears which LibTorch is passed over and why. Rejects with a sentence when there is no way. */
export function makePlan(options: SetupOptions & { readonly tell: (text: string) => void }): Promise<SetupPlan> {
  return script<{ makePlan(from: typeof options): Promise<SetupPlan> }>('plan.js').makePlan(options);
}

export function probeGpus(): Promise<GpuProbe> {
  return script<{ probeGpus(): Promise<GpuProbe> }>('machine.js').probeGpus();
}

export function addonRecord(): AddonRecord | undefined {
  return script<{ addonRecord(): AddonRecord | undefined }>('build.js').addonRecord();
}
