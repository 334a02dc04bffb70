// The picture that drawings go on: decoded as the detector sees it, and enlarged where it is too small to read labels in.
import sharp from 'sharp';

import { CornerNetError } from '../errors.js';
import { decodeImage, tooLarge } from '../images/image.js';
import type { ImageSource } from '../images/source.js';

/** Below this the longer side is enlarged, so that labels are legible and don't hide what they name. */
const smallestSidePx = 640;
/** The format's own. */
const largestJpegSidePx = 65_535;

export type DrawingFormat = 'jpeg' | 'png';

export interface Canvas {
  /** Packed RGB. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Canvas pixels per picture pixel. */
  readonly scale: number;
  /** Line width that suits the size, in pixels. */
  readonly linePx: number;
  /** Letter size that suits the size, in pixels. */
  readonly fontPx: number;
  readonly format: DrawingFormat;
}

export interface CanvasOptions {
  /** Of the picture, and of the drawing. */
  readonly maxPixels: number;
  /** Seconds that reading the picture may take, and decoding it; 0 for any time. Default: 60. */
  readonly timeout?: number | undefined;
  /** The longer side in pixels. Default: the picture's own, a multiple of it where that is small, as far as `maxPixels` allows. */
  readonly sidePx?: number | undefined;
  readonly format?: DrawingFormat | undefined;
}

/** @throws {CornerNetError} `ERR_INPUT`, `ERR_TOO_LARGE` for a picture or a drawing above `maxPixels`, or one that the format can't hold. */
export async function openCanvas(source: ImageSource, { maxPixels, timeout, sidePx, format = 'jpeg' }: CanvasOptions): Promise<Canvas> {
  const picture = await decodeImage(source, maxPixels, { timeout });
  const own = Math.max(picture.width, picture.height);
  const enlarged = Math.min(Math.ceil(smallestSidePx / own), Math.floor(Math.sqrt(maxPixels / (picture.width * picture.height))));
  const scale = sidePx === undefined ? Math.max(1, enlarged) : sidePx / own;
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  const what = `the drawing of a ${picture.width}x${picture.height} picture at scale ${scale}`;
  if (width * height > maxPixels) throw tooLarge(what, { width, height }, maxPixels);
  if (format === 'jpeg' && Math.max(width, height) > largestJpegSidePx)
    throw new CornerNetError('ERR_TOO_LARGE', `${what} has ${width}x${height} pixels, and a JPEG at most ${largestJpegSidePx} a side`);
  const raw = sharp(picture.data, { raw: { width: picture.width, height: picture.height, channels: 3 } });
  const data = scale === 1 ? picture.data : await raw.resize(width, height, { kernel: 'cubic' }).raw().toBuffer();
  const longer = Math.max(width, height);
  return {
    data,
    width,
    height,
    scale,
    linePx: Math.max(2, Math.round(longer / 400)),
    fontPx: Math.max(13, Math.round(longer / 45)),
    format,
  };
}

/** Lays SVG elements over the canvas: a picture of its format to be. */
export function finishCanvas(canvas: Canvas, elements: string, layers: sharp.OverlayOptions[] = []): sharp.Sharp {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${canvas.width}" height="${canvas.height}">${elements}</svg>`;
  const drawing = sharp(canvas.data, { raw: { width: canvas.width, height: canvas.height, channels: 3 } });
  drawing.composite([...layers, { input: Buffer.from(svg), left: 0, top: 0 }]);
  return canvas.format === 'png' ? drawing.png() : drawing.jpeg({ quality: 92, chromaSubsampling: '4:4:4' }); // thin coloured lines stay as they are
}
