// The two corner heatmaps over a picture, with the corners of each detection joined.
import sharp, { type Sharp } from 'sharp';

import type { HeadMap, Heads } from '../detector/heads.js';
import type { Detection } from '../detector/result.js';
import type { ImageSource } from '../images/source.js';
import { classColour } from './boxes.js';
import { finishCanvas, openCanvas, type Canvas, type CanvasOptions } from './canvas.js';

/** Top-left corners glow red, bottom-right ones blue. */
const tlColour = [255, 40, 0] as const;
const brColour = [0, 110, 255] as const;
const strongest = 0.85; // of full opacity, so that the picture shows through

/** Each cell's highest class score as the opacity of one colour. */
function glow({ shape, values }: HeadMap, colour: readonly [number, number, number]): Buffer {
  const [channels, height, width] = shape;
  const cells = height * width;
  const pixels = Buffer.alloc(cells * 4);
  for (let cell = 0; cell < cells; cell++) {
    let logit = -Infinity;
    for (let channel = 0; channel < channels; channel++) logit = Math.max(logit, values[channel * cells + cell] ?? -Infinity);
    pixels.set([...colour, Math.round((255 * strongest) / (1 + Math.exp(-logit)))], 4 * cell);
  }
  return pixels;
}

/** A map stretched to the padded picture, and of that what lies over the picture itself. */
async function layer(canvas: Canvas, heads: Heads, map: HeadMap, colour: readonly [number, number, number]): Promise<sharp.OverlayOptions> {
  const [, height, width] = map.shape;
  const [across, down] = [canvas.width / heads.width, canvas.height / heads.height];
  // One pipeline: of a tiny picture's enlarged border nothing is computed but what is seen.
  const input = await sharp(glow(map, colour), { raw: { width, height, channels: 4 } })
    .resize(Math.ceil(heads.paddedWidth * across), Math.ceil(heads.paddedHeight * down), { fit: 'fill', kernel: 'cubic' })
    .extract({ left: Math.floor(heads.left * across), top: Math.floor(heads.top * down), width: canvas.width, height: canvas.height })
    .png()
    .toBuffer();
  return { input, left: 0, top: 0 };
}

function joined(canvas: Canvas, { box, classId }: Detection): string {
  const [x1, y1, x2, y2] = box.map((side) => side * canvas.scale) as [number, number, number, number];
  const dot = (x: number, y: number, [r, g, b]: readonly [number, number, number]): string =>
    `<circle cx="${x}" cy="${y}" r="${2 * canvas.linePx}" fill="rgb(${r},${g},${b})" stroke="white" stroke-width="${canvas.linePx / 2}"/>`;
  const line = `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${classColour(classId)}" stroke-width="${canvas.linePx}"/>`;
  return line + dot(x1, y1, tlColour) + dot(x2, y2, brColour);
}

/** Both heatmaps and the paired corners over their picture. */
export async function renderHeatmaps(
  source: ImageSource,
  heads: Heads,
  detections: readonly Detection[],
  options: CanvasOptions,
): Promise<Sharp> {
  const canvas = await openCanvas(source, options);
  const layers = [await layer(canvas, heads, heads.tlHeat, tlColour), await layer(canvas, heads, heads.brHeat, brColour)];
  return finishCanvas(canvas, detections.map((detection) => joined(canvas, detection)).join(''), layers);
}
