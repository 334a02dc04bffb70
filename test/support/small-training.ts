// Annotations of the pictures in test/fixtures/training: some of them, with few boxes.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

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
