// A folder of drawings, one for each picture, under names that don't collide.
import { join, parse } from 'node:path';

export class DrawingFolder {
  readonly #folder: string;
  readonly #taken = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where the drawing of this picture goes: pictures of one name in different folders get a number. */
  fileFor(image: string): string {
    const { name } = parse(image);
    let unique = name;
    for (let number = 2; this.#taken.has(unique); number++) unique = `${name}-${number}`;
    this.#taken.add(unique);
    return join(this.#folder, `${unique}.jpg`);
  }
}
