// From a picture in any form to packed 8-bit RGB, scaled where that is asked for.
import type { Sharp } from 'sharp';

import { CornerNetError, sentenceOf } from '../errors.js';
import type { NativePicture } from '../native.js';
import { imageName, isRaw, isSharp, openSource, type ImageSource, type RawImage } from './source.js';

/** Pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** One picture on its way: its pixels as the network will see them, packed RGB of `width` x `height`, and whence they come. */
export interface Picture extends NativePicture {
  readonly name: string | null;
  /** Upright, before any scaling: what boxes and results are measured in. */
  readonly original: Size;
  /** When it was taken and decoded, by performance.now(). */
  readonly taken: number;
  readonly decoded: number;
}

export interface Scaling {
  /** Pixels of the longer side; larger pictures are made smaller. */
  readonly maxSide?: number | undefined;
  readonly scale?: number | undefined;
}

/** No format needs more than 16 bits for each of four channels, but for what is said beside the pixels. */
function mostBytes(maxPixels: number): number {
  return 8 * maxPixels + (1 << 20);
}

function tooLarge(what: string, { width, height }: Size, maxPixels: number): CornerNetError {
  return new CornerNetError('ERR_TOO_LARGE', `${what} has ${width}x${height} pixels, more than the ${maxPixels} that maxPixels allows`);
}

function fromRaw({ data, width, height, channels = 4 }: RawImage, maxPixels: number): NativePicture {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's width and height must be whole numbers from 1, not ${width}x${height}`);
  }
  if (![1, 3, 4].includes(channels)) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's channels must be 1, 3 or 4, not ${String(channels)}`);
  }
  if (!(data instanceof Uint8Array) && !(data instanceof Uint8ClampedArray)) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's data must be a Uint8Array of 8-bit channels`);
  }
  if (width * height > maxPixels) throw tooLarge('the raw picture', { width, height }, maxPixels);
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

/** @throws {CornerNetError} `ERR_TOO_LARGE`. */
function scaledSize(what: string, { width, height }: Size, { maxSide = Infinity, scale = 1 }: Scaling, maxPixels: number): Size {
  const factor = Math.min(scale, maxSide / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
  if (size.width * size.height > maxPixels) throw tooLarge(factor === 1 ? what : `${what} after scaling`, size, maxPixels);
  return size;
}

function resize(image: Sharp, { width, height }: Size): Sharp {
  return image.resize(width, height, { fit: 'fill', kernel: 'lanczos3' });
}

/** sharp is loaded with the first picture that needs it: whoever only wants types or corner pooling does without. */
async function loadSharp(): Promise<typeof import('sharp')> {
  return (await import('sharp')).default;
}

interface Decoded {
  readonly pixels: NativePicture;
  readonly original: Size;
}

const unscaled = (pixels: NativePicture): Decoded => ({ pixels, original: { width: pixels.width, height: pixels.height } });

async function decode(input: string | Uint8Array | Sharp, what: string, maxPixels: number, scaling: Scaling): Promise<Decoded> {
  const sharp = await loadSharp();
  const own = isSharp(input);
  // failOn 'error': a picture that is cut off is refused, one with a mere warning is read. Pixels are limited below, with a code of its own.
  const image = own ? input.clone() : sharp(input, { failOn: 'error', limitInputPixels: false, pages: 1, ignoreIcc: true });
  const { width, height, hasAlpha, autoOrient: upright } = await image.metadata();
  if (width * height > maxPixels) throw tooLarge(what, { width, height }, maxPixels);
  // A sharp instance is the caller's own pipeline, who turns it if it is to be turned.
  if (!own) image.autoOrient();
  const wanted = scaledSize(what, upright, scaling, maxPixels);
  // Scaling while decoding spares most of a large JPEG. Alpha would weigh the colours, and the caller's pipeline may scale by itself: those come later.
  const early = !own && !hasAlpha && (wanted.width !== upright.width || wanted.height !== upright.height);
  if (early) resize(image, wanted);
  const { data, info } = await image.removeAlpha().toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  const pixels = fromRaw({ data, width: info.width, height: info.height, channels: info.channels as 1 | 3 | 4 }, maxPixels);
  return early ? { pixels, original: upright } : unscaled(pixels);
}

async function scaled(pixels: NativePicture, wanted: Size): Promise<NativePicture> {
  if (pixels.width === wanted.width && pixels.height === wanted.height) return pixels;
  const sharp = await loadSharp();
  const raw = { width: pixels.width, height: pixels.height, channels: 3 } as const;
  return {
    data: await resize(sharp(pixels.data, { raw, limitInputPixels: false }), wanted)
      .raw()
      .toBuffer(),
    ...wanted,
  };
}

/**
 * Decodes one picture as the reference does: turned upright by its EXIF orientation, alpha dropped, grey tripled,
 * 16 bits cut to 8, embedded colour profiles ignored, the first frame of an animation. Scaling is Lanczos (three lobes).
 * @throws {CornerNetError} `ERR_INPUT` when it can't be read, `ERR_TOO_LARGE` above `maxPixels`.
 */
export async function decodeImage(
  source: ImageSource,
  maxPixels: number,
  { signal, ...scaling }: Scaling & { readonly signal?: AbortSignal | undefined } = {},
): Promise<Picture> {
  const taken = performance.now();
  const name = imageName(source);
  const what = name ?? 'the picture';
  try {
    const input = await openSource(source, mostBytes(maxPixels), signal);
    const { pixels, original } = isRaw(input) ? unscaled(fromRaw(input, maxPixels)) : await decode(input, what, maxPixels, scaling);
    const sized = await scaled(pixels, scaledSize(what, original, scaling, maxPixels));
    return { name, original, ...sized, taken, decoded: performance.now() };
  } catch (error) {
    if (error instanceof CornerNetError) throw error;
    throw new CornerNetError('ERR_INPUT', `${what} can't be read as a picture: ${sentenceOf(error)}`, { cause: error });
  }
}
