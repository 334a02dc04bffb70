// The picture that drawings go on: decoded as the detector sees it, and enlarged where it is too small to read labels in.
import { rename, rm } from 'node:fs/promises';

import sharp from 'sharp';

import { decodeImage, type ImageSource } from '../image.js';

/** Below this the longer side is enlarged, so that labels are legible and don't hide what they name. */
const smallestSidePx = 640;

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
}

export async function openCanvas(source: ImageSource, maxPixels: number): Promise<Canvas> {
  const picture = await decodeImage(source, maxPixels);
  const scale = Math.max(1, Math.ceil(smallestSidePx / Math.max(picture.width, picture.height)));
  const width = picture.width * scale;
  const height = picture.height * scale;
  const raw = sharp(picture.data, { raw: { width: picture.width, height: picture.height, channels: 3 } });
  const data = scale === 1 ? picture.data : await raw.resize(width, height, { kernel: 'cubic' }).raw().toBuffer();
  const longer = Math.max(width, height);
  return { data, width, height, scale, linePx: Math.max(2, Math.round(longer / 400)), fontPx: Math.max(13, Math.round(longer / 45)) };
}

/** Lays SVG elements over the canvas and writes a JPEG, complete or not at all. */
export async function saveCanvas(canvas: Canvas, elements: string, layers: sharp.OverlayOptions[], file: string): Promise<void> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${canvas.width}" height="${canvas.height}">${elements}</svg>`;
  const aside = `${file}.${process.pid}.part`;
  try {
    await sharp(canvas.data, { raw: { width: canvas.width, height: canvas.height, channels: 3 } })
      .composite([...layers, { input: Buffer.from(svg), left: 0, top: 0 }])
      .jpeg({ quality: 92 })
      .toFile(aside);
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
