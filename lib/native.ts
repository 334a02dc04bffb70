// The only door to the addon: its typed surface, and finding and loading it.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { CornerNetError, sentenceOf } from './errors.js';

export interface NativePicture {
  /** Packed RGB, row-major, 3 bytes a pixel. Copied on the calling thread. */
  data: Uint8Array;
  width: number;
  height: number;
}

export interface NativeSettings {
  mean: [number, number, number];
  std: [number, number, number];
  toRgb: boolean;
  cornerTopk: number;
  localMaximumKernel: number;
  distanceThreshold: number;
  maxPerImage: number;
  nmsMethod: 'naive' | 'linear' | 'gaussian';
  nmsIouThreshold: number;
  nmsSigma: number;
  nmsMinScore: number;
}

export interface NativeLoadOptions {
  path: string;
  device: string;
  precision: 'auto' | 'fp32' | 'bf16' | 'fp16';
  /** 0: the cores this process may use. */
  threads: number;
}

export interface NativeDetectOptions {
  flip: boolean;
  numerics: 'mmdet2' | 'mmdet3';
  scoreThreshold: number;
  /** Class ids to keep; empty keeps all. */
  classIds: number[];
  settings: NativeSettings;
}

export interface NativeInfo {
  device: string;
  precision: 'fp32' | 'bf16' | 'fp16';
  threads: number;
  /** Class names the checkpoint states; empty when it names none. */
  classes: string[];
  numClasses: number;
  numStacks: number;
  numParameters: number;
  framework: string;
  settings: NativeSettings;
}

export interface NativeMap {
  /** channels, height, width */
  shape: [number, number, number];
  /** fp32, before the sigmoid, channel-first. */
  values: Float32Array;
}

export interface NativeHeads {
  tlHeat: NativeMap;
  brHeat: NativeMap;
  tlEmb: NativeMap;
  brEmb: NativeMap;
  tlOff: NativeMap;
  brOff: NativeMap;
  paddedWidth: number;
  paddedHeight: number;
  left: number;
  top: number;
}

/** One network on one device with a thread of its own; calls run in order. Rejections are Errors with a `code` such as "ERR_CHECKPOINT". */
export interface NativeDetector {
  load(options: NativeLoadOptions): Promise<NativeInfo>;
  /** One Float32Array a picture: x1, y1, x2, y2, score, class id per detection, in descending score. `id` names the call for cancel(). */
  detect(id: number, pictures: NativePicture[], options: NativeDetectOptions): Promise<Float32Array[]>;
  heads(id: number, picture: NativePicture, settings: NativeSettings): Promise<NativeHeads>;
  /** Drops a call that has not begun (it rejects with ERR_CLOSED); a running one is left to finish. */
  cancel(id: number): void;
  stats(): { pictures: number; forwards: number; views: number };
  memory(): { weightsBytes: number };
  /** Refuses new calls, rejects queued ones with ERR_CLOSED, waits for the running one, frees, joins. Idempotent. */
  close(): Promise<void>;
}

export interface NativeCudaDevice {
  name: string;
  major: number;
  minor: number;
  memoryBytes: number;
  /** Whether this build holds kernels for it. */
  hasCode: boolean;
}

export interface NativeBuildInfo {
  libtorchVersion: string;
  cuda: boolean;
  cudaVersion: string;
  devices: NativeCudaDevice[];
  cpuFeatures: string[];
  cores: number;
}

export interface NativeAddon {
  Detector: new () => NativeDetector;
  buildInfo(): NativeBuildInfo;
  /** Corner pooling of fp32 data shaped [..., height, width] on `device`. */
  cornerPool(data: Float32Array, shape: number[], direction: 'top' | 'bottom' | 'left' | 'right', device: string): Promise<Float32Array>;
}

/** The folder of this package's package.json, from the sources and from dist alike. */
export const packageRoot = dirname(__dirname);

/** Where the addon may be, in the order of looking. */
export function addonPaths(): string[] {
  const chosen = process.env['CORNERNET_ADDON'];
  return [...(chosen ? [chosen] : []), join(packageRoot, 'build', 'Release', 'cornernet.node')];
}

const remedy = 'run `npx cornernet setup` (`npx cornernet doctor` says what it finds)';

let loaded: NativeAddon | undefined;

/**
 * Loads the addon, once.
 * @throws {CornerNetError} `ERR_NOT_BUILT` with every path that was tried, `ERR_LIBTORCH` when the addon is there but LibTorch can't be loaded.
 */
export function loadNative(): NativeAddon {
  if (loaded) return loaded;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new CornerNetError(
      'ERR_NOT_BUILT',
      `cornernet's native addon is built for Linux on x86-64 only; this is ${process.platform} on ${process.arch}`,
    );
  }
  const paths = addonPaths();
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined)
    throw new CornerNetError('ERR_NOT_BUILT', `the native addon is not built: looked for ${paths.join(', ')}; ${remedy}`);
  try {
    loaded = createRequire(__filename)(path) as NativeAddon;
  } catch (error) {
    const sentence = sentenceOf(error);
    const code = /lib(torch|c10|gomp|cud)/.test(sentence) ? 'ERR_LIBTORCH' : 'ERR_NOT_BUILT';
    throw new CornerNetError(code, `the native addon ${path} can't be loaded: ${sentence}; ${remedy}`, { cause: error });
  }
  return loaded;
}
