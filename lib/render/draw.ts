// Drawing results from the API: a picture with its labelled boxes, encoded.
import { extname } from 'node:path';

import { z } from 'zod';

import type { DetectionResult } from '../detector/result.js';
import { CornerNetError } from '../errors.js';
import { decodeImage } from '../images/image.js';
import type { ImageSource } from '../images/source.js';
import { callTable } from '../options/table.js';
import { defaultMaxPixels } from '../options/values.js';
import { writeText } from '../output-file.js';
import { validated } from '../validation.js';

/** Options of `draw`. */
export interface DrawOptions {
  /** Default: that of `file`'s name, else jpeg. */
  readonly format?: 'jpeg' | 'png' | undefined;
  /** Also write the drawing there, under a name that ends in .jpg, .jpeg or .png, if in anything; it appears under its name when it is complete. */
  readonly file?: string | undefined;
  /** Pixels of the drawing for each of the picture. Default: 1; small pictures are enlarged to 640 pixels at least, so that labels can be read, as far as `maxPixels` allows. */
  readonly scale?: number | undefined;
  /** Refuse pictures, and drawings, with more pixels. A JPEG has at most 65,535 a side, too. Default: 50,000,000. */
  readonly maxPixels?: number | undefined;
  /** Seconds that reading the picture may take, and decoding it; 0 for any time. Default: 60. */
  readonly timeout?: number | undefined;
}

const schema = z.strictObject({
  format: z.enum(['jpeg', 'png']).optional(),
  file: z
    .string()
    .min(1)
    .refine((file) => /^(\.jpe?g|\.png)?$/i.test(extname(file)), 'expected a name that ends in .jpg, .jpeg or .png')
    .optional(),
  scale: z.number().positive().optional(),
  maxPixels: callTable.maxPixels.schema.optional(),
  timeout: callTable.timeout.schema.optional(),
});

const resultSchema = z.object({
  width: z.number(),
  height: z.number(),
  detections: z.array(
    z.object({ label: z.string(), classId: z.number(), score: z.number(), box: z.tuple([z.number(), z.number(), z.number(), z.number()]) }),
  ),
});

/**
 * Draws a result over its picture: boxes, a colour a class, the surest on top. The first 300 have labels, of which none hides another, where there is
 * room for them.
 * @param image the picture that the result is of, in any form that `detect` takes.
 * @param result what `detect` gave.
 * @returns the encoded drawing.
 * @throws {CornerNetError} `ERR_OPTION`, `ERR_INPUT` (the picture can't be read, or is another than the result's, or that is none), `ERR_TOO_LARGE`,
 * `ERR_WRITE`.
 *
 * @example
 * ```ts
 * const jpeg = await draw('scan.jpg', await detector.detect('scan.jpg'));
 * ```
 */
export async function draw(
  image: ImageSource,
  result: Pick<DetectionResult, 'width' | 'height' | 'detections'>,
  options: DrawOptions = {},
): Promise<Buffer> {
  const { file, scale, timeout, ...chosen } = validated(schema, options, { code: 'ERR_OPTION', what: 'option' });
  const { maxPixels = defaultMaxPixels, format = file !== undefined && /\.png$/i.test(file) ? 'png' : 'jpeg' } = chosen;
  const { width, height, detections } = validated(resultSchema, result, { code: 'ERR_INPUT', what: 'the result:' });
  const picture = await decodeImage(image, maxPixels, { timeout });
  if (picture.width !== width || picture.height !== height) {
    const sizes = `${picture.width}x${picture.height} pixels, the result is of a picture of ${width}x${height}`;
    throw new CornerNetError('ERR_INPUT', `the picture has ${sizes}`);
  }
  const { ofDetections, renderBoxes } = await import('./boxes.js'); // with sharp and the font
  const sidePx = scale === undefined ? undefined : scale * Math.max(width, height);
  const drawing = await renderBoxes({ ...picture, channels: 3 }, ofDetections(detections), { maxPixels, sidePx, format });
  const encoded = await drawing.toBuffer();
  if (file !== undefined) await writeText(file, encoded, false); // a drawing can be made again
  return encoded;
}
