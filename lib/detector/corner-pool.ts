// Corner pooling by itself.
import { types } from 'node:util';

import { CornerNetError, fromNative } from '../errors.js';
import { loadNative } from '../native.js';
import { checkPoolOptions } from '../options/check.js';
import type { Device } from '../options/values.js';

/** top[y] = max over rows >= y; bottom[y] = max over rows <= y; left[x] = max over columns >= x; right[x] = max over columns <= x. */
export type CornerPoolDirection = 'top' | 'bottom' | 'left' | 'right';

/**
 * The inclusive running maximum along one image axis.
 * @param data fp32, row-major, of `shape`; copied, so that it may be changed at once. NaN spreads along the scan.
 * @param shape [..., height, width].
 * @returns a new array of the same shape.
 * @throws {CornerNetError} `ERR_INPUT` when data and shape disagree, `ERR_OPTION`, `ERR_DEVICE`.
 * @example
 * ```ts
 * await cornerPool(Float32Array.of(1, 3, 2), [1, 3], 'left'); // 3, 3, 2
 * ```
 */
export async function cornerPool(
  data: Float32Array,
  shape: readonly number[],
  direction: CornerPoolDirection,
  options: { readonly device?: Device } = {},
): Promise<Float32Array> {
  if (!types.isFloat32Array(data)) throw new CornerNetError('ERR_INPUT', 'cornerPool takes a Float32Array');
  if (!Array.isArray(shape) || shape.some((side) => !Number.isSafeInteger(side) || side < 0)) {
    throw new CornerNetError('ERR_INPUT', 'the shape must be an array of whole numbers');
  }
  const { device = 'cpu' } = checkPoolOptions(options);
  return fromNative(loadNative().cornerPool(data, [...(shape as number[])], direction, device));
}
