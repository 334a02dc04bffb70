// The table of calibration's options: their validation is here, flags and help come from it in the command, and scripts/generate-options.ts writes
// their type (interfaces.ts).
import { z } from 'zod';

import { headed, number, shapeOf, text, threadsRow } from '../options/table.js';
import { validated } from '../validation.js';
import type { QuantizeOptions } from './interfaces.js';

export const quantizeTable = headed('Calibration', {
  weights: text('what to calibrate: an id of `cornernet weights list` or an mmdetection .pth', 'the digits', {
    short: 'w',
    placeholder: 'id|file',
  }),
  images: text('pictures of the kind that it will see, without labels: a folder, a glob, or - for a list of paths on standard input', '', {
    required: true,
    placeholder: 'folder',
  }),
  output: text('the calibrated checkpoint, a .pth', '', { required: true, short: 'o', placeholder: 'file' }),
  pictures: number(z.int().min(1).max(100_000), 'as many of the pictures, evenly spread over their order, at most', '300'),
  wideShare: number(z.number().min(0).max(1), "the part of the network's operations that sensitive layers may take back to 16 bits", '0'),
  threads: threadsRow,
});

const quantizeSchema = z.strictObject(shapeOf(quantizeTable));

/** @throws {CornerNetError} `ERR_OPTION`. */
export function checkQuantizeOptions(options: unknown): QuantizeOptions {
  return validated(quantizeSchema, options, { code: 'ERR_OPTION', what: 'quantize option' });
}
