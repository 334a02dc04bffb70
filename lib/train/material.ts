// What there is to learn from and to measure by, and what of it is left out.
import { readAnnotations } from '../coco/dataset.js';
import { LeftOut } from '../left-out.js';
import { listed } from '../validation.js';
import type { TrainOptions } from './interfaces.js';
import type { TrainMaterial } from './plan.js';
import { classesOf, picturesOf } from './samples.js';
import { readValidation } from './validate.js';

export async function readMaterial(options: TrainOptions, say: (text: string) => void): Promise<TrainMaterial> {
  const annotations = await readAnnotations(options.annotations);
  const classes = classesOf(annotations);
  const leftOut = new LeftOut();
  const pictures = await picturesOf(annotations, options.images, leftOut);
  for (const sentence of leftOut.sentences) say(`left out: ${sentence}`);
  const learned = new Set(pictures.flatMap(({ objects }) => objects.map(({ category }) => category)));
  const idle = classes.filter((name) => !learned.has(name));
  if (idle.length > 0) say(`classes without an object: ${listed(idle, 5)}`);
  const { valImages, valAnnotations, threads } = options;
  const validation =
    valImages !== undefined && valAnnotations !== undefined ? await readValidation(valImages, valAnnotations, classes, threads) : undefined;
  return { pictures, classes, validation };
}
