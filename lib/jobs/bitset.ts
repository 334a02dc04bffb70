// A set of pictures' positions, a bit each.
export class Bitset {
  readonly #bits: Uint8Array;
  #count = 0;

  constructor(length: number) {
    this.#bits = new Uint8Array(Math.ceil(length / 8));
  }

  get count(): number {
    return this.#count;
  }

  has(position: number): boolean {
    return ((this.#bits[position >> 3] ?? 0) & (1 << (position & 7))) !== 0;
  }

  /** Whether it is new. */
  add(position: number): boolean {
    return this.#set(position, true);
  }

  /** Whether it was there. */
  delete(position: number): boolean {
    return this.#set(position, false);
  }

  #set(position: number, to: boolean): boolean {
    if (this.has(position) === to) return false;
    this.#bits[position >> 3] = (this.#bits[position >> 3] ?? 0) ^ (1 << (position & 7));
    this.#count += to ? 1 : -1;
    return true;
  }
}
