// A training that takes seconds: annotations of the pictures in test/fixtures/training, some of them with few boxes, and the command's flags.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { fixtures } from '../environment.js';
import { withFaults } from './faults.js';

/** Where the pictures are. */
export const smallPictures = join(fixtures, 'training');

const boxes: [string, number[][], number[]][] = [
  ['picture0.png', [[92, 9, 17, 66], [67, 43, 53, 26]], [3, 4]], // prettier-ignore
  ['picture1.png', [[53, 88, 17, 24]], [1]],
  ['picture2.png', [[32, 3, 8, 56], [55, 18, 44, 43]], [2, 1]], // prettier-ignore
  ['picture4.png', [[53, 5, 56, 46]], [4]],
];

export const smallAnnotations = {
  images: boxes.map(([file_name], i) => ({ id: i + 1, file_name, width: 127, height: 127 })),
  annotations: boxes.flatMap(([, list, labels], i) =>
    list.map((bbox, j) => ({ id: 10 * i + j + 1, image_id: i + 1, category_id: labels[j] ?? 0, bbox })),
  ),
  categories: ['ant', 'bee', 'cat', 'dog'].map((name, i) => ({ id: i + 1, name })),
};

/** The file's path. */
export async function writeSmallAnnotations(folder: string): Promise<string> {
  const file = join(folder, 'annotations.json');
  await writeFile(file, JSON.stringify(smallAnnotations));
  return file;
}

/** Of `cornernet`, one step of which takes some 30 ms. @param output the training's folder. */
export function smallFlags(output: string, annotations: string): string[] {
  return ['train', '--images', smallPictures, '--annotations', annotations, '--output', output, '--crop', '64', '--threads', '1'];
}

/** For a training that is to be met in its midst: each line of its log takes a while. @throws {Unavailable} */
export function slowSteps(output: string): Promise<NodeJS.ProcessEnv> {
  return withFaults({ rules: ['write:slow=150'], path: `${output}/log.jsonl`, process: 'cli.js' });
}

/** Of the last checkpoint in a training's folder. */
export async function digestOf(output: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(join(output, 'last.pth')))
    .digest('hex');
}

/** The complete lines of a training's log; none before there is one. */
export function logOf(output: string): Record<string, unknown>[] {
  const file = join(output, 'log.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
