// Text as outlines, from a font that comes with the package: a bare machine has no fonts for SVG to use.
import { readFileSync } from 'node:fs';

import { parse, type Font, type Glyph } from 'opentype.js';

let font: Font | undefined;

function load(): Font {
  if (!font) {
    const file = readFileSync(require.resolve('@fontsource/dejavu-sans/files/dejavu-sans-latin-700-normal.woff'));
    font = parse(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
  }
  return font;
}

/** Pixels that the text takes at this size. */
export function textWidth(text: string, sizePx: number): number {
  const glyphs = [...text].map((character) => load().charToGlyph(character));
  return glyphs.reduce((width, glyph) => width + advance(glyph, sizePx), 0);
}

/** SVG path data with the baseline's start at (x, y). Letter by letter: labels are short and need no ligatures. */
export function textPath(text: string, x: number, y: number, sizePx: number): string {
  let at = x;
  const outlines = [...text].map((character) => {
    const glyph = load().charToGlyph(character);
    const outline = glyph.getPath(at, y, sizePx).toPathData(1);
    at += advance(glyph, sizePx);
    return outline;
  });
  return outlines.join('');
}

function advance(glyph: Glyph, sizePx: number): number {
  return ((glyph.advanceWidth ?? 0) * sizePx) / load().unitsPerEm;
}
