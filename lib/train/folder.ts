// A training's folder: its files, and whether what is there may be begun or gone on with.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { CornerNetError } from '../errors.js';
import { hasStepsAfter, type TrainLog } from './log.js';
import type { TrainPlan } from './plan.js';

/** What a first start leaves that was cut off before config.json was there. */
const leftovers = /^(lock-\d+\.json|log\.jsonl|.*\.part)$/;

export const filesOf = (output: string) => ({
  last: join(output, 'last.pth'),
  best: join(output, 'best.pth'),
  config: join(output, 'config.json'),
  report: join(output, 'report.html'),
});

/** @throws {CornerNetError} `ERR_JOB` when the folder holds something else. */
export async function checkFolder(output: string): Promise<void> {
  if (existsSync(filesOf(output).config)) return;
  const other = (await readdir(output)).find((name) => !leftovers.test(name));
  if (other !== undefined) throw new CornerNetError('ERR_JOB', `${output} is no training's folder and not empty (${other})`);
}

/** @throws {CornerNetError} `ERR_JOB` when a folder without last.pth has more than a training leaves that is cut off before its first checkpoint. */
export async function checkUnsaved(output: string, { settings, epochLength }: TrainPlan): Promise<void> {
  const { best, report } = filesOf(output);
  const { iterations, saveEvery, valEvery, valImages } = settings;
  const first = Math.min(iterations, saveEvery, valImages === undefined ? Infinity : valEvery * epochLength);
  const left =
    [best, report].find((file) => existsSync(file)) ?? ((await hasStepsAfter(output, first)) ? 'a log of later steps' : undefined);
  if (left === undefined) return;
  const sentence = `${output} has no last.pth to go on from, but ${left}, which beginning anew would overwrite`;
  throw new CornerNetError('ERR_JOB', `${sentence}: put last.pth back, name another output, or remove the folder`);
}

/** @throws {CornerNetError} `ERR_JOB` when the log does not say of a best.pth, which a worse one would overwrite, what AP it has. */
export function checkBest(output: string, { settings, epochLength }: TrainPlan, iteration: number, { file, validations }: TrainLog): void {
  const { best } = filesOf(output);
  // After the first validation alone a kill leaves it so, and its checkpoint is measured again.
  const measured = iteration > settings.valEvery * epochLength;
  if (!measured || validations.some((one) => one.best) || !existsSync(best)) return;
  const sentence = `${file.path} does not say what AP ${best} has, which a worse one would overwrite`;
  throw new CornerNetError('ERR_JOB', `${sentence}: put the log back, or move best.pth away`);
}
