// A large picture in overlapping tiles: where they lie, their pixels, and which of their boxes count.
import type { Size } from '../images/image.js';
import type { NativePicture } from '../native.js';

/** A part of a picture, in its pixels. */
export interface Tile extends Size {
  readonly left: number;
  readonly top: number;
}

export interface Tiling {
  /** In rows. */
  readonly tiles: readonly Tile[];
  readonly columns: readonly TileSpan[];
  readonly rows: readonly TileSpan[];
}

/** Of a tile along one axis, and which of its ends are cuts through the picture. */
interface TileSpan {
  readonly start: number;
  readonly end: number;
  readonly startIsCut: boolean;
  readonly endIsCut: boolean;
}

/** Nearer to a cut than a cell of the heatmaps, a box is taken for cut. */
const cellPx = 4;

/** The last one is flush with the picture's end. */
function spansOf(side: number, size: number, overlap: number): TileSpan[] {
  const starts: number[] = [];
  for (let start = 0; start === 0 || start + overlap < side; start += size - overlap)
    starts.push(Math.max(0, Math.min(start, side - size)));
  return starts.map((start, i) => {
    const end = Math.min(side, start + size);
    return { start, end, startIsCut: i > 0, endIsCut: end < side };
  });
}

/** Tiles of `size` x `size` pixels, each sharing `overlap` with the next; without a size the picture is one tile. */
export function tilingOf({ width, height }: Size, wanted: { readonly size: number; readonly overlap: number } | undefined): Tiling {
  const { size, overlap } = wanted ?? { size: Math.max(width, height), overlap: 0 };
  const [columns, rows] = [spansOf(width, size, overlap), spansOf(height, size, overlap)];
  const tiles = rows.flatMap((row) =>
    columns.map((column) => ({ left: column.start, top: row.start, width: column.end - column.start, height: row.end - row.start })),
  );
  return { tiles, columns, rows };
}

/** The tile's own pixels. */
export function cropped(picture: NativePicture, { left, top, width, height }: Tile): NativePicture {
  if (width === picture.width && height === picture.height) return picture;
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const from = 3 * ((top + y) * picture.width + left);
    data.set(picture.data.subarray(from, from + 3 * width), 3 * width * y);
  }
  return { data, width, height };
}

function holds({ start, end, startIsCut, endIsCut }: TileSpan, first: number, last: number): boolean {
  return first >= start + (startIsCut ? cellPx : 0) && last <= end - (endIsCut ? cellPx : 0);
}

/**
 * One list of the tiles' boxes, in the picture's pixels. A box that ends where its tile was cut is left out when another tile has that place whole:
 * there the object is found as it is. One that no tile has whole stays.
 * @param found of each tile: x1, y1, x2, y2, score, class id per box.
 */
export function joined({ tiles, columns, rows }: Tiling, found: readonly Float32Array[]): Float32Array {
  const values: number[] = [];
  found.forEach((boxes, i) => {
    const { left, top } = tiles[i] as Tile;
    const [column, row] = [columns[i % columns.length] as TileSpan, rows[Math.floor(i / columns.length)] as TileSpan];
    for (let at = 0; at < boxes.length; at += 6) {
      const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, score = 0, classId = 0] = boxes.subarray(at, at + 6);
      const [across, down] = [[x1 + left, x2 + left] as const, [y1 + top, y2 + top] as const];
      const whole = holds(column, ...across) && holds(row, ...down);
      const elsewhere = columns.some((span) => holds(span, ...across)) && rows.some((span) => holds(span, ...down));
      if (whole || !elsewhere) values.push(across[0], down[0], across[1], down[1], score, classId);
    }
  });
  return Float32Array.from(values);
}
