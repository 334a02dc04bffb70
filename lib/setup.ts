// The set-up scripts as typed functions: plain JavaScript, because a clone runs them before anything is compiled.
import { packagePath } from './package.js';

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

/** The set-up's scripts, by what is called of each. */
interface Scripts {
  readonly 'build.js': { addonRecord(): AddonRecord | undefined };
  /** The request is that of weights/download.ts. */
  readonly 'download.js': { download(request: object): Promise<string> };
  readonly 'machine.js': { probeGpus(): Promise<GpuProbe> };
  readonly 'paths.js': { cacheFolder(): string };
  readonly 'pin.js': {
    pinnedDigest(file: string): string | undefined;
    pinChange(file: string, digest: string): string | undefined;
    holdPin(file: string, digest: string): string | undefined;
  };
  readonly 'plain.js': { plain(text: string): string; spellOut(text: string): string };
  readonly 'platform.js': { foreign(): string | undefined };
  /** `tell` hears which LibTorch is passed over and why. Rejects with a sentence when there is no way. */
  readonly 'plan.js': { makePlan(options: SetupOptions & { readonly tell: (text: string) => void }): Promise<SetupPlan> };
  /** Finds or fetches a LibTorch and readies the addon for it. Resolves with what was done, undefined when all was in place. */
  readonly 'setup.js': { setUp(options: SetupOptions): Promise<string | undefined> };
}

/** A script of the set-up. */
export function script<Name extends keyof Scripts>(name: Name): Scripts[Name] {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return require(packagePath('setup', name)) as Scripts[Name];
}
