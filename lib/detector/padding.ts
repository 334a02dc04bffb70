// What the network pads a picture to (csrc/ops/image.h).

/** Pixels of a side of so many pixels after padding: the next of 127, 255, 383, ... */
export function paddedSide(side: number): number {
  return side | 127;
}

/** The same of both sides, as text: pictures share a forward when theirs are equal. */
export function paddedSize({ width, height }: { readonly width: number; readonly height: number }): string {
  return `${paddedSide(width)}x${paddedSide(height)}`;
}
