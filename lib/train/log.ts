// A training's log.jsonl: a line a step, and one a validation.
import { join } from 'node:path';

import { z } from 'zod';

import { GrowingFile, readValues } from '../jobs/lines.js';

const losses = z.array(z.number());

const stepSchema = z.object({
  /** Steps done with this one. */
  iteration: z.int(),
  epoch: z.int(),
  loss: z.number(),
  /** Of each level. */
  det: losses,
  pull: losses,
  push: losses,
  off: losses,
  learningRate: z.number(),
  /** Before clipping; null where fp16 could not hold the gradients, and nothing was learned. */
  gradientNorm: z.number().nullable(),
  picturesPerSecond: z.number(),
  /** Resident bytes of the process. */
  memory: z.number(),
  /** Pictures that could not be read. */
  failed: z.array(z.object({ name: z.string(), reason: z.string() })).optional(),
});

const validationSchema = z.object({ iteration: z.int(), AP: z.number(), AP50: z.number(), AP75: z.number(), best: z.boolean() });

export type LoggedStep = z.infer<typeof stepSchema>;
export type LoggedValidation = z.infer<typeof validationSchema>;

const lineSchema = z.union([stepSchema, validationSchema]);

export const isStep = (line: LoggedStep | LoggedValidation): line is LoggedStep => 'loss' in line;

const logFile = 'log.jsonl';

export interface TrainLog {
  readonly steps: LoggedStep[];
  readonly validations: LoggedValidation[];
  readonly file: GrowingFile;
}

/** The log up to an iteration, to which new lines come; what was written after it is cut off. */
export async function openLog(folder: string, iteration: number): Promise<TrainLog> {
  const steps: LoggedStep[] = [];
  const validations: LoggedValidation[] = [];
  let keep = 0;
  for await (const { value, end } of readValues(join(folder, logFile), lineSchema)) {
    if (value === undefined || value.iteration > iteration) break;
    if (isStep(value)) steps.push(value);
    else validations.push(value);
    keep = end;
  }
  return { steps, validations, file: await GrowingFile.open(join(folder, logFile), keep) };
}
