// Labelled boxes over a picture.
import type { Sharp } from 'sharp';

import type { Detection } from '../detector/result.js';
import type { ImageSource } from '../images/source.js';
import { finishCanvas, openCanvas, type Canvas, type CanvasOptions } from './canvas.js';
import { gap, placeLabels, type Rectangle } from './labels.js';
import { textPath } from './text.js';

/** Hues a golden angle apart differ for neighbours and for many. */
export function classColour(classId: number): string {
  return `hsl(${Math.round((classId * 137.508 + 210) % 360)}, 85%, 42%)`;
}

/** A box with words at it. */
export interface LabelledBox {
  readonly text: string;
  /** x1, y1, x2, y2 in pixels of the picture. */
  readonly box: Detection['box'];
  readonly colour: string;
  /** Dashes on white instead of a line. */
  readonly dashed?: boolean;
}

function rectangle({ left, top, width, height }: Rectangle, rest: string): string {
  return `<rect x="${left}" y="${top}" width="${width}" height="${height}" ${rest}/>`;
}

function sides({ colour, dashed }: LabelledBox, frame: Rectangle, { linePx }: Canvas): string {
  const line = (stroke: string, dash = ''): string => rectangle(frame, `fill="none" stroke="${stroke}" stroke-width="${linePx}"${dash}`);
  return dashed === true ? line('white') + line(colour, ` stroke-dasharray="${3 * linePx}"`) : line(colour);
}

/** From a label that lies off its box to the box's nearest point. */
function leader(place: Rectangle, frame: Rectangle, colour: string, linePx: number): string {
  if (gap(place, frame) <= linePx) return '';
  const [x, y] = [place.left + place.width / 2, place.top + place.height / 2];
  const nearest = (at: number, from: number, size: number): number => Math.max(from, Math.min(at, from + size));
  const end = `x2="${nearest(x, frame.left, frame.width)}" y2="${nearest(y, frame.top, frame.height)}"`;
  return `<line x1="${x}" y1="${y}" ${end} stroke="${colour}" stroke-width="${linePx / 2}"/>`;
}

/** Boxes and labels, which lie over all boxes. */
function elements(boxes: readonly LabelledBox[], canvas: Canvas): string {
  const frames = boxes.map(({ box }): Rectangle => {
    const [x1, y1, x2, y2] = box.map((side) => side * canvas.scale) as [number, number, number, number];
    return { left: x1, top: y1, width: x2 - x1, height: y2 - y1 };
  });
  const half = canvas.linePx / 2;
  const around = frames.map(({ left, top, width, height }) => ({ left: left - half, top: top - half, width: width + 2 * half, height: height + 2 * half })); // prettier-ignore
  const labelled = boxes.map(({ text }, i) => ({ text, frame: around[i] as Rectangle }));
  const { fontPx, padPx, places } = placeLabels(labelled, canvas, canvas.fontPx);
  const drawn = boxes.map((box, i) => {
    const [frame, place] = [frames[i] as Rectangle, places[i]];
    if (!place) return { box: sides(box, frame, canvas), label: '' };
    const words = `<path d="${textPath(box.text, place.left + padPx, place.top + padPx + 0.82 * fontPx, fontPx)}" fill="white"/>`;
    return {
      box: sides(box, frame, canvas) + leader(place, frame, box.colour, canvas.linePx),
      label: rectangle(place, `fill="${box.colour}"`) + words,
    };
  });
  drawn.reverse(); // the first on top
  return drawn.map(({ box }) => box).join('') + drawn.map(({ label }) => label).join('');
}

/** Each with its label and score, in its class's colour. */
export function ofDetections(detections: readonly Detection[]): LabelledBox[] {
  return detections.map(({ label, score, box, classId }) => ({ text: `${label} ${score.toFixed(2)}`, box, colour: classColour(classId) }));
}

/** Boxes over their picture, the first on top. Errors: see {@link openCanvas}. */
export async function renderBoxes(source: ImageSource, boxes: readonly LabelledBox[], options: CanvasOptions): Promise<Sharp> {
  const canvas = await openCanvas(source, options);
  return finishCanvas(canvas, elements(boxes, canvas));
}
