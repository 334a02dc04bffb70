// From a picture in any form to packed 8-bit RGB, scaled where that is asked for.
import { types } from 'node:util';

import pLimit from 'p-limit';
import type { Sharp } from 'sharp';

import { CornerNetError, sentenceOf } from '../errors.js';
import type { NativePicture } from '../native.js';
import { defaultTimeout } from '../options/values.js';
import { poolSize, within } from './deadline.js';
import { isPicture } from './formats.js';
import type { Hold } from './room.js';
import { imageName, isRaw, isSharp, isStream, readSource, type ImageSource, type RawImage } from './source.js';

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

export function tooLarge(what: string, { width, height }: Size, maxPixels: number): CornerNetError {
  return new CornerNetError('ERR_TOO_LARGE', `${what} has ${width}x${height} pixels, more than the ${maxPixels} that maxPixels allows`);
}

function fromRaw({ data, width, height, channels = 4 }: RawImage, maxPixels: number): NativePicture {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's width and height must be whole numbers from 1, not ${width}x${height}`);
  }
  if (![1, 3, 4].includes(channels)) {
    throw new CornerNetError('ERR_INPUT', `a raw picture's channels must be 1, 3 or 4, not ${String(channels)}`);
  }
  if (!types.isUint8Array(data) && !types.isUint8ClampedArray(data)) {
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
  return (await import('./sharp.js')).sharp;
}

/** Pictures are read and decoded as the pool has threads, each with one and the next. The others wait without a deadline. */
const inTurn = pLimit(2 * poolSize);

/** sharp ends what it can by itself, a little later than who waits for it is told. */
function secondsOfSharp(seconds: number): number {
  return seconds === 0 ? 0 : Math.min(3600, Math.ceil(seconds) + 1);
}

interface Decoding extends Scaling {
  readonly what: string;
  readonly maxPixels: number;
  readonly seconds: number;
  readonly hold: (bytes: number) => Promise<void>;
}

interface Decoded {
  readonly pixels: NativePicture;
  readonly original: Size;
}

const unscaled = (pixels: NativePicture): Decoded => ({ pixels, original: { width: pixels.width, height: pixels.height } });

function open(sharp: typeof import('sharp'), bytes: Uint8Array, seconds: number): Sharp {
  if (bytes.length === 0) throw new Error('it is empty');
  if (!isPicture(bytes)) throw new Error('it is no JPEG, PNG, WebP, TIFF, GIF or AVIF');
  // failOn 'error': a picture that is cut off is refused, one with a mere warning is read. Pixels are limited below, with a code of its own.
  const image = sharp(bytes, { failOn: 'error', limitInputPixels: false, pages: 1, ignoreIcc: true });
  return image.timeout({ seconds: secondsOfSharp(seconds) });
}

async function decode(input: Uint8Array | Sharp, decoding: Decoding): Promise<Decoded> {
  const { what, maxPixels, seconds, hold } = decoding;
  const sharp = await loadSharp();
  const own = isSharp(input);
  const image = own ? input.clone() : open(sharp, input, seconds);
  const { width, height, hasAlpha, autoOrient } = await within(seconds, what, () => image.metadata());
  const upright = (autoOrient as Size | undefined) ?? { width, height }; // a caller's own sharp may be an older one
  if (width * height > maxPixels) throw tooLarge(what, { width, height }, maxPixels);
  // A sharp instance is the caller's own pipeline, who turns it if it is to be turned.
  if (!own) image.autoOrient();
  const wanted = scaledSize(what, upright, decoding, maxPixels);
  // Scaling while decoding spares most of a large JPEG. Alpha would weigh the colours, and the caller's pipeline may scale by itself: those come later.
  const early = !own && !hasAlpha && (wanted.width !== upright.width || wanted.height !== upright.height);
  if (early) resize(image, wanted);
  const size = early ? wanted : upright;
  await hold((own ? 0 : input.length) + 3 * size.width * size.height);
  image.removeAlpha().toColourspace('srgb').raw({ depth: 'uchar' });
  const { data, info } = await within(seconds, what, () => image.toBuffer({ resolveWithObject: true }));
  const pixels = fromRaw({ data, width: info.width, height: info.height, channels: info.channels as 1 | 3 | 4 }, maxPixels);
  return early ? { pixels, original: upright } : unscaled(pixels);
}

async function scaled({ pixels, original }: Decoded, decoding: Decoding): Promise<NativePicture> {
  const { what, maxPixels, seconds, hold } = decoding;
  const wanted = scaledSize(what, original, decoding, maxPixels);
  if (pixels.width === wanted.width && pixels.height === wanted.height) return pixels;
  await hold(pixels.data.length + 3 * wanted.width * wanted.height);
  const sharp = await loadSharp();
  const raw = { width: pixels.width, height: pixels.height, channels: 3 } as const;
  const image = resize(sharp(pixels.data, { raw, limitInputPixels: false }), wanted).raw();
  return { data: await within(seconds, what, () => image.toBuffer()), ...wanted };
}

/** libvips' threads share one text of errors: lines of other pictures may follow, or somebody has taken this one's. */
function reasonOf(error: unknown): string {
  const [line = ''] = sentenceOf(error).split('\n');
  return line === 'Unknown error' ? 'it is damaged or cut off' : line;
}

export interface DecodeOptions extends Scaling {
  readonly signal?: AbortSignal | undefined;
  /** Seconds that reading may take, and decoding; 0 for any time. Default: 60. */
  readonly timeout?: number | undefined;
  /** Has the bytes that the picture takes, the caller's to release. Default: they are not counted. */
  readonly hold?: Hold | undefined;
}

/**
 * Decodes one picture as the reference does: turned upright by its EXIF orientation, alpha dropped, grey tripled,
 * 16 bits cut to 8, embedded colour profiles ignored, the first frame of an animation. Scaling is Lanczos (three lobes).
 * @throws {CornerNetError} `ERR_INPUT` when it can't be read, `ERR_TOO_LARGE` above `maxPixels`.
 */
export async function decodeImage(
  source: ImageSource,
  maxPixels: number,
  { signal, timeout: seconds = defaultTimeout, hold: held, ...scaling }: DecodeOptions = {},
): Promise<Picture> {
  const taken = performance.now();
  const name = imageName(source);
  const what = name ?? 'the picture';
  const hold = async (bytes: number): Promise<void> => held?.resize(bytes);
  const decoding = { what, maxPixels, seconds, hold, ...scaling };
  const reading = { most: mostBytes(maxPixels), seconds, signal, hold };
  const finish = async (decoded: Decoded): Promise<Picture> => {
    const sized = await scaled(decoded, decoding);
    await hold(sized.data.length);
    return { name, original: decoded.original, ...sized, taken, decoded: performance.now() };
  };
  try {
    if (isRaw(source)) {
      const { data, ...size } = fromRaw(source, maxPixels);
      // The caller's memory may get the next frame.
      return await finish(unscaled({ data: data.buffer === source.data.buffer ? data.slice() : data, ...size }));
    }
    // A stream may come slowly, which is no reason for others to wait.
    const input = isStream(source) ? await readSource(source, reading) : source;
    held?.rest(true);
    return await inTurn(async () => {
      held?.rest(false);
      signal?.throwIfAborted();
      return finish(await decode(isSharp(input) ? input : await readSource(input, reading), decoding));
    });
  } catch (error) {
    if (error instanceof CornerNetError) throw error;
    throw new CornerNetError('ERR_INPUT', `${what} can't be read as a picture: ${reasonOf(error)}`, { cause: error });
  }
}
