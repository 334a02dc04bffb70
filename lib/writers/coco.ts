// COCO's results format: an array of { image_id, category_id, bbox: [x, y, width, height], score }.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { z } from 'zod';

import { areCocoClasses, cocoCategoryIds } from '../coco/categories.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import type { TextOutput } from '../output-file.js';
import type { ResultWriter } from './writer.js';

const annotationsSchema = z.object({
  images: z.array(z.object({ id: z.int(), file_name: z.string() })),
  categories: z.array(z.object({ id: z.int(), name: z.string() })),
});

/** Which ids pictures and classes have in the results. */
export interface CocoIds {
  imageId(image: string, position: number): number;
  categoryId(classId: number): number;
  /** Whether image ids are positions, which a list beside the results must explain. */
  readonly arePositions: boolean;
}

/** COCO's own category ids for its 80 classes, else classId + 1; image ids count the pictures from 1. */
export function plainCocoIds(classes: readonly string[]): CocoIds {
  const coco = areCocoClasses(classes);
  return {
    imageId: (_, position) => position + 1,
    categoryId: (classId) => (coco ? (cocoCategoryIds[classId] ?? classId + 1) : classId + 1),
    arePositions: true,
  };
}

/**
 * The ids of an annotation file, by file name and category name.
 * @throws {CornerNetError} `ERR_INPUT` when it can't be read, lacks a class, or (at imageId) a picture.
 */
export async function annotatedCocoIds(file: string, classes: readonly string[]): Promise<CocoIds> {
  let annotations: z.infer<typeof annotationsSchema>;
  try {
    annotations = annotationsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${file} can't be read as COCO annotations: ${sentenceOf(error)}`, { cause: error });
  }
  const images = new Map(annotations.images.map(({ file_name, id }) => [file_name, id]));
  const categories = new Map(annotations.categories.map(({ name, id }) => [name, id]));
  const missing = classes.find((name) => !categories.has(name));
  if (missing !== undefined) throw new CornerNetError('ERR_INPUT', `${file} has no category called ${missing}`);
  return {
    imageId: (image) => {
      const id = images.get(image) ?? images.get(basename(image));
      if (id === undefined) throw new CornerNetError('ERR_INPUT', `${file} has no picture called ${basename(image)}`);
      return id;
    },
    categoryId: (classId) => categories.get(classes[classId] ?? '') ?? classId + 1,
    arePositions: false,
  };
}

/** An array of a JSON file, written as its values come. */
class JsonArray {
  readonly #output: TextOutput;
  readonly #close: string;
  #first: string;
  #between = '';

  constructor(output: TextOutput, open = '[', close = ']') {
    this.#output = output;
    this.#first = open;
    this.#close = close;
  }

  async push(value: object): Promise<void> {
    await this.#output.write(`${this.#first}${this.#between}\n${JSON.stringify(value)}`);
    this.#first = '';
    this.#between = ',';
  }

  async end(): Promise<void> {
    await this.#output.write(`${this.#first}${this.#between === '' ? '' : '\n'}${this.#close}\n`);
  }
}

/** `list` gets the pictures' ids, names and sizes (or errors) where the ids are positions. */
export function cocoWriter(output: TextOutput, ids: CocoIds, list?: TextOutput): ResultWriter {
  let position = 0;
  const results = new JsonArray(output);
  const images = list && new JsonArray(list, '{"images":[', ']}');
  return {
    write: async (result) => {
      const file_name = result.image ?? '';
      const image_id = ids.imageId(file_name, position++);
      if ('error' in result) {
        await images?.push({ id: image_id, file_name, error: { code: result.error.code, message: result.error.message } });
        return;
      }
      await images?.push({ id: image_id, file_name, width: result.width, height: result.height });
      for (const { classId, score, box } of result.detections) {
        const [x1, y1, x2, y2] = box;
        await results.push({ image_id, category_id: ids.categoryId(classId), bbox: [x1, y1, x2 - x1, y2 - y1], score });
      }
    },
    end: async () => {
      await results.end();
      await images?.end();
      await output.commit();
      await list?.commit();
    },
    discard: async () => {
      await output.discard();
      await list?.discard();
    },
  };
}
