// A folder of drawings, one for each picture, under names that don't collide.
import { join, parse } from 'node:path';

import { fittingName } from '../output-file.js';

export class DrawingFolder {
  readonly #taken = new Set<string>();

  constructor(private readonly folder: string) {}

  /** Where the drawing of this picture goes: pictures of one name in different folders get a number, too long names are cut. */
  fileFor(image: string): string {
    // As the disk will have it: stray bytes of a name become one and the same sign.
    const name = Buffer.from(parse(image === '-' ? 'stdin' : image).name).toString();
    let unique = fittingName(name, '.jpg');
    for (let number = 2; this.#taken.has(unique); number++) unique = fittingName(name, `-${number}.jpg`);
    this.#taken.add(unique);
    return join(this.folder, unique);
  }
}
