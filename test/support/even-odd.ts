// Somebody's own classes, as an example: digits that are even and odd, in pictures that the demo's weights were not told about so.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { readAnnotations } from '../../lib/coco/dataset.js';
import type { TrainOptions } from '../../lib/train.js';
import { fixtures } from '../environment.js';

const digits = join(fixtures, 'digits');

async function relabelled(from: string, to: string, pictures: number): Promise<string> {
  const { images, annotations, categories } = await readAnnotations(from);
  const kept = images.slice(0, pictures);
  const ids = new Set(kept.map(({ id }) => id));
  const digitOf = new Map(categories.map(({ id, name }) => [id, Number(name)]));
  await writeFile(
    to,
    JSON.stringify({
      images: kept,
      annotations: annotations
        .filter(({ image_id }) => ids.has(image_id))
        .map((one) => ({ ...one, category_id: 1 + ((digitOf.get(one.category_id) ?? NaN) % 2) })),
      categories: [{ id: 1, name: 'even' }, { id: 2, name: 'odd' }], // prettier-ignore
    }),
  );
  return to;
}

/** Where the pictures are and what is in them; the annotations are written to the folder. */
export async function evenOdd(folder: string): Promise<Pick<TrainOptions, 'images' | 'annotations' | 'valImages' | 'valAnnotations'>> {
  return {
    images: join(digits, 'train'),
    annotations: await relabelled(join(digits, 'train', 'annotations.json'), join(folder, 'train.json'), 240),
    valImages: join(digits, 'val'),
    valAnnotations: await relabelled(join(digits, 'val', 'annotations.json'), join(folder, 'val.json'), Infinity),
  };
}
