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

const isStep = (line: LoggedStep | LoggedValidation): line is LoggedStep => 'loss' in line;

const logFile = 'log.jsonl';

export interface TrainLog {
  readonly validations: LoggedValidation[];
  /** Why pictures could not be read, by their names. */
  readonly failures: Map<string, string>;
  readonly file: GrowingFile;
}

/** Of a step that is logged. */
export function noteFailures({ failures }: Pick<TrainLog, 'failures'>, { failed = [] }: LoggedStep): void {
  for (const { name, reason } of failed) failures.set(name, reason);
}

/** The log up to an iteration, to which new lines come; what was written after it is cut off. @param say told of lines that can't be read. */
export async function openLog(folder: string, iteration: number, say: (text: string) => void): Promise<TrainLog> {
  const validations: LoggedValidation[] = [];
  const failures: TrainLog['failures'] = new Map();
  const path = join(folder, logFile);
  let keep = 0;
  let unreadable = 0;
  for await (const { value, end } of readValues(path, lineSchema)) {
    if (value === undefined) {
      unreadable++;
      continue;
    }
    if (value.iteration > iteration) break;
    if (isStep(value)) noteFailures({ failures }, value);
    else validations.push(value);
    keep = end;
  }
  if (unreadable > 0) say(`passing over ${unreadable} ${unreadable === 1 ? 'line' : 'lines'} of ${path} that can't be read`);
  return { validations, failures, file: await GrowingFile.open(path, keep) };
}

/** Whether a log has any after so many. */
export async function hasStepsAfter(folder: string, iteration: number): Promise<boolean> {
  for await (const { value } of readValues(join(folder, logFile), lineSchema))
    if (value !== undefined && value.iteration > iteration) return true;
  return false;
}

/** The steps of a log, one after the other: all of a long training's take hundreds of megabytes. */
export async function* loggedSteps({ file }: TrainLog): AsyncGenerator<LoggedStep, void> {
  for await (const { value } of readValues(file.path, lineSchema)) if (value !== undefined && isStep(value)) yield value;
}
