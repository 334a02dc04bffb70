// Labelled boxes over a picture.
import type { Sharp } from 'sharp';

import type { Detection } from '../detector/result.js';
import type { ImageSource } from '../images/image.js';
import { finishCanvas, openCanvas, saveDrawing, type Canvas } from './canvas.js';
import { textPath, textWidth } from './text.js';

/** Hues a golden angle apart differ for neighbours and for many. */
export function classColour(classId: number): string {
  return `hsl(${Math.round((classId * 137.508 + 210) % 360)}, 85%, 42%)`;
}

function label(canvas: Canvas, text: string, x: number, y: number, colour: string): string {
  const pad = Math.round(canvas.fontPx / 4);
  const width = textWidth(text, canvas.fontPx) + 2 * pad;
  const height = canvas.fontPx + 2 * pad;
  // Above the box where there is room, inside it where not, and never beyond the picture's edge.
  const left = Math.max(0, Math.min(x, canvas.width - width));
  const top = y - height >= 0 ? y - height : Math.min(y, canvas.height - height);
  const baseline = top + pad + 0.82 * canvas.fontPx;
  return (
    `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${colour}"/>` +
    `<path d="${textPath(text, left + pad, baseline, canvas.fontPx)}" fill="white"/>`
  );
}

/** A box with words above it. */
export interface LabelledBox {
  readonly text: string;
  /** x1, y1, x2, y2 in pixels of the picture. */
  readonly box: Detection['box'];
  readonly colour: string;
  /** Dashes on white instead of a line. */
  readonly dashed?: boolean;
}

function frame(canvas: Canvas, { text, box, colour, dashed }: LabelledBox): string {
  const [x1, y1, x2, y2] = box.map((side) => side * canvas.scale) as [number, number, number, number];
  const line = (stroke: string, dash: string): string =>
    `<rect x="${x1}" y="${y1}" width="${x2 - x1}" height="${y2 - y1}" fill="none" stroke="${stroke}" stroke-width="${canvas.linePx}"${dash}/>`;
  const sides = dashed === true ? line('white', '') + line(colour, ` stroke-dasharray="${3 * canvas.linePx}"`) : line(colour, '');
  return sides + label(canvas, text, x1 - canvas.linePx / 2, y1, colour);
}

/** Boxes over their picture, the first on top. `sidePx`: see {@link openCanvas}. */
export async function renderLabelledBoxes(
  source: ImageSource,
  boxes: readonly LabelledBox[],
  maxPixels: number,
  sidePx?: number,
): Promise<Sharp> {
  const canvas = await openCanvas(source, maxPixels, sidePx);
  return finishCanvas(canvas, [...boxes].reverse().map((one) => frame(canvas, one)).join('')); // prettier-ignore
}

/** Detections over their picture, the surest on top. */
export function renderBoxes(source: ImageSource, detections: readonly Detection[], maxPixels: number, sidePx?: number): Promise<Sharp> {
  const boxes = detections.map(({ label: name, score, box, classId }) => ({
    text: `${name} ${score.toFixed(2)}`,
    box,
    colour: classColour(classId),
  }));
  return renderLabelledBoxes(source, boxes, maxPixels, sidePx);
}

/** {@link renderBoxes} into a JPEG file. */
export async function drawBoxes(source: ImageSource, detections: readonly Detection[], file: string, maxPixels: number): Promise<void> {
  await saveDrawing(await renderBoxes(source, detections, maxPixels), file);
}
