// From a picture in any form to packed 8-bit RGB.
import { fileURLToPath } from 'node:url';

import type { Sharp } from 'sharp';

import { CornerNetError, sentenceOf } from '../errors.js';
import type { NativePicture } from '../native.js';

/** Decoded pixels, row-major, `channels` neighbours a pixel: grey, RGB or RGB with alpha, 8 bits each. */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  readonly channels: 1 | 3 | 4;
}

/** A file's path, a `file:` URL object, an encoded picture's bytes, a sharp instance, or decoded pixels. */
export type ImageSource = string | URL | Uint8Array | Sharp | RawImage;

/** How a result names its picture: the path or URL as it was given, null for pictures that came as bytes. */
export function imageName(source: ImageSource): string | null {
  if (typeof source === 'string') return source;
  return source instanceof URL ? source.href : null;
}

/** For messages. */
function describe(source: ImageSource): string {
  return imageName(source) ?? (isRaw(source) ? 'the raw picture' : 'the picture');
}

function isObject(source: unknown): source is object {
  return typeof source === 'object' && source !== null;
}

function isRaw(source: unknown): source is RawImage {
  return isObject(source) && !(source instanceof Uint8Array) && 'data' in source && 'channels' in source;
}

function isSharp(source: unknown): source is Sharp {
  return (
    isObject(source) &&
    typeof (source as Partial<Sharp>).toBuffer === 'function' &&
    typeof (source as Partial<Sharp>).metadata === 'function'
  );
}

function tooLarge(source: ImageSource, width: number, height: number, maxPixels: number): CornerNetError {
  return new CornerNetError(
    'ERR_TOO_LARGE',
    `${describe(source)} has ${width}x${height} pixels, more than the ${maxPixels} that maxPixels allows`,
  );
}

function fromRaw(image: RawImage, maxPixels: number): NativePicture {
  const { data, width, height, channels } = image;
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's width and height must be whole numbers from 1, not ${width}x${height}`);
  }
  if (![1, 3, 4].includes(channels)) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's channels must be 1, 3 or 4, not ${String(channels)}`);
  }
  if (!(data instanceof Uint8Array) && !(data instanceof Uint8ClampedArray)) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's data must be a Uint8Array of 8-bit channels`);
  }
  if (width * height > maxPixels) throw tooLarge(image, width, height, maxPixels);
  if (data.length !== width * height * channels) {
    throw new CornerNetError(
      'ERR_INPUT',
      `a raw ${width}x${height} picture of ${channels} channels has ${width * height * channels} bytes, not ${data.length}`,
    );
  }
  if (channels === 3) return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width, height };
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) rgb[3 * pixel + channel] = data[pixel * channels + (channels === 1 ? 0 : channel)] ?? 0;
  }
  return { data: rgb, width, height };
}

/** sharp is loaded with the first picture: whoever only wants types or corner pooling does without. */
async function open(source: string | URL | Uint8Array | Sharp): Promise<Sharp> {
  const { default: sharp } = await import('sharp');
  // failOn 'error': a picture that is cut off is refused, one with a mere warning is read. Pixels are limited below, with a code of its own.
  const options = { failOn: 'error', limitInputPixels: false, pages: 1, ignoreIcc: true } as const;
  if (typeof source === 'string') return sharp(source, options);
  if (source instanceof URL) {
    if (source.protocol !== 'file:') {
      throw new CornerNetError('ERR_INPUT', `${source.href}: only file: URLs are read; fetch the picture and pass its bytes`);
    }
    return sharp(fileURLToPath(source), options);
  }
  if (source instanceof Uint8Array) return sharp(source, options);
  return source.clone();
}

/**
 * Decodes one picture as the reference does: turned upright by its EXIF orientation, alpha dropped, grey tripled,
 * 16 bits cut to 8, embedded colour profiles ignored, the first frame of an animation.
 * @throws {CornerNetError} `ERR_INPUT` when it can't be read, `ERR_TOO_LARGE` above `maxPixels`.
 */
export async function decodeImage(source: ImageSource, maxPixels: number): Promise<NativePicture> {
  if (isRaw(source)) return fromRaw(source, maxPixels);
  if (typeof source !== 'string' && !(source instanceof URL) && !(source instanceof Uint8Array) && !isSharp(source)) {
    throw new CornerNetError(
      'ERR_INPUT',
      'a picture must be a path, a URL object, a Buffer, a sharp instance or { data, width, height, channels }',
    );
  }
  try {
    const image = await open(source);
    const { width, height } = await image.metadata();
    if (width * height > maxPixels) throw tooLarge(source, width, height, maxPixels);
    // A sharp instance is the caller's own pipeline, who turns it if it is to be turned.
    const upright = isSharp(source) ? image : image.autoOrient();
    const { data, info } = await upright.removeAlpha().toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return fromRaw({ data, width: info.width, height: info.height, channels: info.channels as 1 | 3 | 4 }, maxPixels);
  } catch (error) {
    if (error instanceof CornerNetError) throw error;
    throw new CornerNetError('ERR_INPUT', `${describe(source)} can't be read as a picture: ${sentenceOf(error)}`, { cause: error });
  }
}
