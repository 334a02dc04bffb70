// Where labels go: at their boxes, inside the picture, over no other label.
import type { Size } from '../images/image.js';
import { textWidth } from './text.js';

export interface Rectangle extends Size {
  readonly left: number;
  readonly top: number;
}

/** What is to be labelled. */
export interface Labelled {
  readonly text: string;
  /** In pixels of the canvas. */
  readonly frame: Rectangle;
}

export interface Labels {
  /** Letter size, in pixels: smaller than wished where there are many. */
  readonly fontPx: number;
  /** Around a label's letters, in pixels. */
  readonly padPx: number;
  /** In the order of what is labelled, as far as {@link mostLabels}; undefined where even the smallest letters find no room. */
  readonly places: readonly (Rectangle | undefined)[];
}

/** Smaller letters can't be read. */
const smallestFontPx = 8;
/** Places that are tried along each side of the canvas when a box's own sides are taken. */
const stepsALabel = 2;
/** More could not be read, and each is held against all others. */
export const mostLabels = 300;

export function overlap(a: Rectangle, b: Rectangle): boolean {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

/** Pixels between two rectangles, 0 where they touch. */
export function gap(a: Rectangle, b: Rectangle): number {
  const apart = (from: number, size: number, other: number, otherSize: number): number =>
    Math.max(0, other - (from + size), from - (other + otherSize));
  const [across, down] = [apart(a.left, a.width, b.left, b.width), apart(a.top, a.height, b.top, b.height)];
  return Math.sqrt(across * across + down * down); // Math.hypot takes many times as long
}

/** Above and below the box, inside it, beside it: the usual places first. */
function* atBox({ left, top, width, height }: Rectangle, label: Size): Generator<Rectangle> {
  const [right, bottom] = [left + width, top + height];
  const lefts = [left, right - label.width, left + (width - label.width) / 2];
  for (const y of [top - label.height, bottom, top, bottom - label.height]) for (const x of lefts) yield { ...label, left: x, top: y };
  for (const x of [right, left - label.width]) for (const y of [top, bottom - label.height]) yield { ...label, left: x, top: y };
}

/** Anywhere in the picture, the nearest that is free. */
function elsewhere(frame: Rectangle, label: Size, canvas: Size, free: (place: Rectangle) => boolean): Rectangle | undefined {
  const along = (room: number, size: number): number[] => {
    const steps = Math.max(1, Math.ceil((stepsALabel * room) / size));
    return Array.from({ length: steps + 1 }, (_, step) => (step * room) / steps);
  };
  const tops = along(canvas.height - label.height, label.height);
  let nearest: Rectangle | undefined;
  let least = Infinity;
  for (const left of along(canvas.width - label.width, label.width)) {
    for (const top of tops) {
      const place = { width: label.width, height: label.height, left, top };
      const far = gap(place, frame);
      if (far >= least || !free(place)) continue;
      [nearest, least] = [place, far];
    }
  }
  return nearest;
}

/** Moved inside the canvas along its nearest way. */
function inside({ left, top, width, height }: Rectangle, canvas: Size): Rectangle {
  return {
    left: Math.max(0, Math.min(left, canvas.width - width)),
    top: Math.max(0, Math.min(top, canvas.height - height)),
    width,
    height,
  };
}

function placeAt(labelled: readonly Labelled[], canvas: Size, fontPx: number): Labels {
  const padPx = Math.max(1, Math.round(fontPx / 4));
  const height = fontPx + 2 * padPx;
  const bandOf = ({ top }: Rectangle): number => Math.floor(top / height);
  const taken: Rectangle[][] = []; // by band: labels of one height overlap those of their own and of the next ones alone
  const take = (place: Rectangle): void => void (taken[bandOf(place)] ??= []).push(place);
  let crowded = Infinity; // the width of the narrowest label that found no room
  const places = labelled.map(({ text, frame }) => {
    const label = { width: textWidth(text, fontPx) + 2 * padPx, height };
    if (label.width > canvas.width || height > canvas.height || label.width >= crowded) return undefined;
    const free = (place: Rectangle): boolean => {
      const band = bandOf(place);
      return ![band, band - 1, band + 1].some((near) => taken[near]?.some((other) => overlap(place, other)) === true);
    };
    for (const place of atBox(frame, label)) {
      const here = inside(place, canvas);
      if (!free(here)) continue;
      take(here);
      return here;
    }
    const place = elsewhere(frame, label, canvas, free);
    if (place) take(place);
    else crowded = label.width;
    return place;
  });
  return { fontPx, padPx, places };
}

/**
 * No two overlap, none leaves the canvas, the first have the best places. Where there is no room for all, the letters become smaller, and at the
 * smallest the last go without, as do all beyond the first {@link mostLabels}.
 * @param fontPx letter size that is wished for.
 */
export function placeLabels(labelled: readonly Labelled[], canvas: Size, fontPx: number): Labels {
  for (let size = fontPx; ; size = Math.max(smallestFontPx, Math.floor(0.8 * size))) {
    const labels = placeAt(labelled.slice(0, mostLabels), canvas, size);
    if (size <= smallestFontPx || !labels.places.includes(undefined)) return labels;
  }
}
