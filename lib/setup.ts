// The set-up scripts as typed functions: plain JavaScript, because a clone runs them before anything is compiled.
import { join } from 'node:path';

import { packageRoot } from './native.js';

/** A LibTorch that loads. */
export interface FoundLibtorch {
  readonly folder: string;
  readonly version: string;
  /** 'LIBTORCH', 'Python' or 'cache' */
  readonly source: string;
  readonly cuda: boolean;
}

/** What `nvidia-smi` says. */
export interface GpuProbe {
  readonly gpus: readonly { readonly name: string; readonly computeCapability: number }[];
  /** The newest CUDA version the driver supports, 0 without a driver. */
  readonly cuda: number;
}

function script<T>(name: string): T {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return require(join(packageRoot, 'setup', name)) as T;
}

/** Finds or fetches a LibTorch and builds the addon against it. */
export function setUp(): Promise<FoundLibtorch> {
  return script<{ setUp(): Promise<FoundLibtorch> }>('setup.js').setUp();
}

/** Undefined where there is none; `tell` hears what was passed over and why. */
export function findLibtorch(tell: (text: string) => void): Promise<FoundLibtorch | undefined> {
  return script<{ findLibtorch(tell: (text: string) => void): Promise<FoundLibtorch | undefined> }>('libtorch.js').findLibtorch(tell);
}

export function probeGpus(): Promise<GpuProbe> {
  return script<{ probeGpus(): Promise<GpuProbe> }>('probe.js').probeGpus();
}
