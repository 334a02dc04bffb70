// The forms that a picture may come in: how each is named, and what there is to decode.
import { Readable, addAbortSignal } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';

import type { Sharp } from 'sharp';

import { CornerNetError } from '../errors.js';
import { openRegular, readBytes } from '../regular-file.js';
import { shown } from '../validation.js';
import { within } from './deadline.js';

/** Decoded pixels, row-major, `channels` neighbours a pixel: grey, RGB or RGB with alpha, 8 bits each. An `ImageData` is one. */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** Default: 4, as in an `ImageData`. */
  readonly channels?: 1 | 3 | 4;
}

/** What a `Blob` or `File` is asked for. */
export interface BlobLike {
  readonly size: number;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** The bytes of one encoded picture: a Node `Readable`, a web `ReadableStream`, or any async iterable. It is read to its end, once. */
export type ByteStream = AsyncIterable<Uint8Array> | { getReader(): object; cancel(reason?: unknown): Promise<void> };

/**
 * A regular file's path, a `file:` URL as an object or a string, an encoded picture's bytes in whatever holds them, a sharp instance, or decoded pixels.
 * Encoded pictures are JPEG, PNG, WebP, TIFF, GIF or AVIF, by their first bytes; what only sharp reads besides goes in as a sharp instance. Bytes stay
 * as they are until the call is over; decoded pixels given to `detectAll` only until it asks for the next picture.
 */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer | BlobLike | ByteStream | Sharp | RawImage;

/** How a result names its picture: the path or URL as it was given, a `File`'s name, null for pictures that came as bytes. */
export function imageName(source: ImageSource): string | null {
  if (typeof source === 'string') return source;
  if (isUrl(source)) return source.href;
  const name = isBlob(source) && (source as { readonly name?: unknown }).name;
  return typeof name === 'string' && name !== '' ? name : null;
}

function isObject(source: unknown): source is object {
  return typeof source === 'object' && source !== null;
}

/** By its form, as under jsdom the global URL is not Node's. */
function isUrl(source: unknown): source is URL {
  return isObject(source) && 'href' in source && 'protocol' in source;
}

export function isRaw(source: unknown): source is RawImage {
  return isObject(source) && 'data' in source && 'width' in source && 'height' in source;
}

export function isSharp(source: unknown): source is Sharp {
  const { toBuffer, metadata } = (isObject(source) ? source : {}) as Partial<Sharp>;
  return typeof toBuffer === 'function' && typeof metadata === 'function';
}

function isBlob(source: unknown): source is BlobLike {
  return isObject(source) && 'size' in source && typeof (source as Partial<BlobLike>).arrayBuffer === 'function';
}

function readableOf(source: unknown): Readable | undefined {
  if (source instanceof Readable) return source;
  if (source instanceof ReadableStream) return Readable.fromWeb(source);
  return isObject(source) && Symbol.asyncIterator in source ? Readable.from(source as AsyncIterable<Uint8Array>) : undefined;
}

/** How an encoded picture may be read. */
export interface Reading {
  /** Bytes that it may have. */
  readonly most: number;
  /** That it may take; of a stream, each of its pieces. 0 for any time. */
  readonly seconds: number;
  readonly signal: AbortSignal | undefined;
  /** Waits for room for so many bytes in all. */
  readonly hold: (bytes: number) => Promise<void>;
}

function tooManyBytes(name: string | null, most: number): CornerNetError {
  const sentence = `${name ?? 'the picture'} has more than ${most} bytes, which no picture has that maxPixels allows`;
  return new CornerNetError('ERR_TOO_LARGE', sentence);
}

/** Ends the stream when it gives too much or nobody waits any more. */
async function collected(stream: Readable, { most, seconds, signal, hold }: Reading): Promise<Uint8Array> {
  if (signal) addAbortSignal(signal, stream);
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<unknown>;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const next = await within(seconds, "the picture's stream", () => pieces.next());
      const chunk: unknown = next.value;
      if (next.done === true) return Buffer.concat(chunks);
      if (!types.isUint8Array(chunk)) {
        throw new CornerNetError('ERR_INPUT', `a picture's stream must give bytes (Uint8Array), not ${shown(chunk)}`);
      }
      bytes += chunk.length;
      if (bytes > most) throw tooManyBytes(null, most);
      chunks.push(chunk);
      await hold(bytes);
    }
  } finally {
    stream.destroy();
  }
}

async function fileBytes(path: string, { most, seconds, hold }: Reading): Promise<Uint8Array> {
  let opening: ReturnType<typeof openRegular> | undefined;
  let read: Promise<Uint8Array> | undefined;
  try {
    const { file, size } = await within(seconds, path, () => (opening = openRegular(path)));
    if (size > most) throw tooManyBytes(path, most);
    await hold(size);
    return await within(seconds, path, () => (read = readBytes(file, 0, size)));
  } finally {
    // An opening that is late is still to be closed, a read that is late still needs its file.
    const close = async (): Promise<void> => (await opening)?.file.close();
    void Promise.allSettled([read]).then(close).catch(() => undefined); // prettier-ignore
  }
}

/** A stream that fails while it waits for its turn says so when it is read, instead of ending the process. */
export function withoutCrash(source: ImageSource): ImageSource {
  return source instanceof Readable ? source.on('error', () => undefined) : source;
}

function pathOf(source: string | URL): string {
  const text = String(source);
  if (/^file:\/\//i.test(text)) return fileURLToPath(text);
  if (typeof source === 'string' && !/^([a-z][a-z\d+.-]+:\/\/|(data|blob):)/i.test(text)) return text;
  const short = text.length > 200 ? `${text.slice(0, 60)}...` : text;
  throw new CornerNetError(
    'ERR_INPUT',
    `${short}: only file: URLs are read; fetch the picture and pass its bytes, \`await (await fetch(url)).arrayBuffer()\`; on the command line, \`curl URL | cornernet detect -\``,
  );
}

export function isStream(source: ImageSource): boolean {
  return isObject(source) && !isSharp(source) && (Symbol.asyncIterator in source || source instanceof ReadableStream);
}

/** The bytes of an encoded picture, wherever they are. */
export async function readSource(source: ImageSource, reading: Reading): Promise<Uint8Array> {
  const { most, seconds, hold } = reading;
  if (typeof source === 'string' || isUrl(source)) return fileBytes(pathOf(source), reading);
  if (types.isUint8Array(source)) return source;
  if (types.isArrayBuffer(source)) return new Uint8Array(source);
  if (isBlob(source)) {
    const name = imageName(source);
    if (source.size > most) throw tooManyBytes(name, most);
    await hold(source.size);
    return new Uint8Array(await within(seconds, name ?? 'the picture', () => source.arrayBuffer()));
  }
  const stream = readableOf(source);
  if (stream) return collected(stream, reading);
  const remedy = types.isPromise(source) ? 'a Promise: await it first' : shown(source);
  throw new CornerNetError(
    'ERR_INPUT',
    `a picture must be a path, a file: URL, encoded bytes (a Buffer, ArrayBuffer, Blob or stream), a sharp instance or pixels ({ data, width, height }), not ${remedy}`,
  );
}

/**
 * Pictures one after the other.
 * @throws {CornerNetError} `ERR_INPUT` for what is one picture, or none.
 */
export function eachOf(images: unknown): Iterator<ImageSource> | AsyncIterator<ImageSource> {
  // A stream of bytes is one picture, though it can be iterated; one of objects may give paths.
  const bytes = types.isUint8Array(images) || (images instanceof Readable && !images.readableObjectMode);
  if (isObject(images) && !bytes && Symbol.asyncIterator in images) return (images as AsyncIterable<ImageSource>)[Symbol.asyncIterator]();
  if (isObject(images) && !bytes && Symbol.iterator in images) return (images as Iterable<ImageSource>)[Symbol.iterator]();
  const got = typeof images === 'string' ? shown(images) : bytes ? 'the bytes of one' : shown(images);
  throw new CornerNetError('ERR_INPUT', `detectAll takes several pictures, not ${got}: pass an array or another iterable of pictures`);
}
