// The head's maps, as the addon gives them and `Detector.heads` returns them.

/** A map of the head before the sigmoid. */
export interface HeadMap {
  /** channels, height, width */
  readonly shape: readonly [number, number, number];
  /** Channel-first, row-major. */
  readonly values: Float32Array;
}

/** The last level's maps of the plain padded picture, and where the picture lies in it. */
export interface Heads {
  readonly tlHeat: HeadMap;
  readonly brHeat: HeadMap;
  readonly tlEmb: HeadMap;
  readonly brEmb: HeadMap;
  /** Channel 0 is x. */
  readonly tlOff: HeadMap;
  readonly brOff: HeadMap;
  /** Pixels of the padded picture; a map cell is paddedWidth / map width pixels wide. */
  readonly paddedWidth: number;
  readonly paddedHeight: number;
  /** Pixels of border before the picture. */
  readonly left: number;
  readonly top: number;
  /** Pixels of the picture itself as the network sees it: after `maxSide` and `scale`. */
  readonly width: number;
  readonly height: number;
}
