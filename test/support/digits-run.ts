// mmdetection's run on the digits, repeated through the addon: its start, its pictures in their order, its learning rates.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { readAnnotations } from '../../lib/coco/dataset.js';
import { decodeImage } from '../../lib/images/image.js';
import { loadNative, type NativeSample } from '../../lib/native.js';
import { LeftOut } from '../../lib/left-out.js';
import { classesOf, decodeSample, picturesOf } from '../../lib/train/samples.js';
import { learningRates } from '../../lib/train/schedule.js';
import { validate } from '../../lib/train/validate.js';
import { fixtures } from '../environment.js';

const digits = join(fixtures, 'digits');
const folder = join(digits, 'train');
const size = 192;

interface DigitsRun {
  readonly iterations: number;
  readonly batch: number;
  /** Places of the pictures in the annotations' list, a batch after the other. */
  readonly order: readonly number[];
  readonly total_loss_and_gradient_norm: readonly (readonly [loss: number, norm: number])[];
  readonly ap_on_val_plain: number;
}

export const digitsRun = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as DigitsRun;

export interface RepeatedStep {
  /** From 0. */
  readonly step: number;
  readonly loss: number;
  /** mmdetection's. */
  readonly wanted: number;
}

/** The first steps of the run. @param save where the weights go in the end. */
export async function* repeatDigitsRun(
  steps: number,
  { threads, save }: { readonly threads?: number; readonly save?: string } = {},
): AsyncGenerator<RepeatedStep, void> {
  const { iterations, batch, order, total_loss_and_gradient_norm: wanted } = digitsRun;
  const annotations = await readAnnotations(join(folder, 'annotations.json'));
  const classes = classesOf(annotations);
  const classIds = new Map(classes.map((name, id) => [name, id]));
  const pictures = new Map((await picturesOf(annotations, folder, new LeftOut())).map((picture) => [picture.name, picture]));
  const sample = async (place: number): Promise<NativeSample> => {
    const { file_name: name } = annotations.images[place] as { file_name: string };
    const picture = pictures.get(name);
    // That run learned from pictures without objects too.
    const empty = async () => ({ picture: await decodeImage(join(folder, name), size * size), boxes: new Float32Array() });
    return { ...(picture ? await decodeSample(picture, classIds) : await empty()), seed: 0 };
  };
  const milestones = [[0.6 * iterations, 0.3], [0.85 * iterations, 0.2]] as const; // prettier-ignore
  const rates = learningRates({ rate: 2.5e-3, warmup: 100, milestones });
  const trainer = new (loadNative().Trainer)();
  try {
    const { drawn } = await trainer.begin({ from: join(folder, 'start.pth'), classes, threads });
    if (drawn.length > 0) throw new Error(`${drawn.join(', ')} were drawn`);
    let learningRate = 0;
    for (let step = 0; step < steps; step++) {
      const samples = await Promise.all(order.slice(step * batch, (step + 1) * batch).map(sample));
      learningRate = rates.next().value;
      const prepared = await trainer.prepare(2 * step + 1, samples, { enabled: false, size });
      const { total } = await trainer.step(2 * step + 2, prepared, learningRate);
      yield { step, loss: total, wanted: wanted[step]?.[0] ?? NaN };
    }
    if (save !== undefined) await trainer.save(2 * steps + 1, { path: save, iteration: steps, epoch: 0, learningRate, optimizer: false });
  } finally {
    await trainer.close();
  }
}

/** AP on digits/val, as mmdetection's plain test gives it. */
export async function digitsPrecision(checkpoint: string, threads?: number): Promise<number> {
  const annotations = await readAnnotations(join(digits, 'val', 'annotations.json'));
  const { stats } = await validate({ images: join(digits, 'val'), annotations, threads }, checkpoint, 'cpu', undefined);
  return stats.AP;
}
