// The table of calibration's options: their validation is here, flags and help come from it in the command, and scripts/generate-options.ts writes
// their type (interfaces.ts).
import { z } from 'zod';

import { headed, shapeOf, threadsRow } from '../options/table.js';
import { validated } from '../validation.js';
import type { QuantizeOptions } from './interfaces.js';

const text = z.string().min(1);

export const quantizeTable = headed('Calibration', {
  weights: {
    ...{ schema: text, type: 'string', flag: 'text', short: 'w', placeholder: 'id|file' },
    about: 'what to calibrate: an id of `cornernet weights list` or an mmdetection .pth',
    standard: 'the digits',
  },
  images: {
    ...{ schema: text, type: 'string', required: true, flag: 'text', placeholder: 'folder' },
    about: 'pictures of the kind that it will see, without labels: a folder, a glob or a list',
    standard: '',
  },
  output: {
    ...{ schema: text, type: 'string', required: true, flag: 'text', short: 'o', placeholder: 'file' },
    about: 'the calibrated checkpoint, a .pth',
    standard: '',
  },
  pictures: {
    ...{ schema: z.int().min(1).max(100_000), type: 'number', flag: 'number' },
    about: 'as many of the pictures, evenly spread over their order, at most',
    standard: '300',
  },
  wideShare: {
    ...{ schema: z.number().min(0).max(1), type: 'number', flag: 'number' },
    about: "the part of the network's operations that sensitive layers may take back to 16 bits",
    standard: '0',
  },
  threads: threadsRow,
});

const quantizeSchema = z
  .strictObject(shapeOf(quantizeTable))
  .extend({ images: quantizeTable.images.schema, output: quantizeTable.output.schema });

/** @throws {CornerNetError} `ERR_OPTION`. */
export function checkQuantizeOptions(options: unknown): QuantizeOptions {
  return validated(quantizeSchema, options, { code: 'ERR_OPTION', what: 'quantize option' });
}
