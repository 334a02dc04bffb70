// What a call asks of the network and of its pictures: the call's options over the load's, over the weights' own. What none of them names is the
// checkpoint's own setting, which the addon keeps.
import type { Scaling } from '../images/image.js';
import type { NativeDetectOptions } from '../native.js';
import { resolveClasses } from '../options/check.js';
import type { DetectOptions, LoadOptions } from '../options/interfaces.js';
import { defaultMaxPixels, defaultTimeout } from '../options/values.js';
import type { ResolvedWeights } from '../weights/weights.js';
import type { PipelineLimits } from './pipeline.js';

export interface CallSettings {
  readonly native: NativeDetectOptions;
  /** Of the forwards: with tiles they thin nothing, because merging does. */
  readonly ofTiles: NativeDetectOptions;
  readonly maxPixels: number;
  /** Seconds. */
  readonly timeout: number;
  readonly scaling: Scaling;
  readonly tiles: PipelineLimits['tiles'];
}

/** `changes` over `base`; keys that are undefined change nothing. */
function merge<T extends object>(base: T, changes: Partial<T>): T {
  return { ...base, ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) };
}

/** Soft-NMS that leaves every score as it is: a box that one tile has twice is to lose no more than it loses in a whole picture. */
function unthinned(native: NativeDetectOptions): NativeDetectOptions {
  return { ...native, softNms: { ...native.softNms, method: 'gaussian', sigma: 1e30 }, maxPerImage: 100_000 };
}

export function callSettings(
  { weights, options, classes }: { weights: ResolvedWeights; options: LoadOptions; classes: readonly string[] },
  changes: DetectOptions,
): CallSettings {
  const wanted = { ...merge<LoadOptions>(options, changes), softNms: merge(options.softNms ?? {}, changes.softNms ?? {}) };
  const native: NativeDetectOptions = {
    ...wanted,
    flip: wanted.flip ?? weights.flip,
    scoreThreshold: wanted.scoreThreshold ?? weights.scoreThreshold,
    classIds: wanted.classes ? resolveClasses(wanted.classes, classes) : [],
  };
  const { maxPixels = defaultMaxPixels, timeout = defaultTimeout, maxSide, scale, tiles } = wanted;
  return {
    native,
    ofTiles: tiles ? unthinned(native) : native,
    maxPixels,
    timeout,
    scaling: { maxSide: maxSide || undefined, scale },
    tiles: tiles ? { size: tiles.size, overlap: tiles.overlap ?? Math.floor(tiles.size / 4) } : undefined,
  };
}
