// COCO's results format: an array of { image_id, category_id, bbox: [x, y, width, height], score }.
import { basename } from 'node:path';

import { areCocoClasses, cocoCategoryIds } from '../coco/categories.js';
import { checkNames, cocoBox, readNames, type CocoDetection, type CocoNames } from '../coco/dataset.js';
import { CornerNetError } from '../errors.js';
import { recordOf, textOf, type Outcomes, type ResultFormat } from './writer.js';

/** Which ids pictures and classes have in the results. */
export interface CocoIds {
  imageId(image: string | null, position: number): number;
  categoryId(classId: number): number;
  /** Whether image ids are positions, which a list beside the results must explain. */
  readonly arePositions: boolean;
}

/** COCO's own category ids for its 80 classes, else classId + 1; image ids count the pictures from 1. */
function plainIds(classes: readonly string[]): CocoIds {
  const coco = areCocoClasses(classes);
  return {
    imageId: (_, position) => position + 1,
    categoryId: (classId) => (coco ? (cocoCategoryIds[classId] ?? classId + 1) : classId + 1),
    arePositions: true,
  };
}

/** The id that annotations have for a picture, by its whole name or the last part of it; one for each picture. */
function annotatedImageId({ images }: CocoNames, what: string): (image: string | null) => number {
  const byName = new Map(images.map(({ file_name, id }) => [file_name, id]));
  const given = new Map<number, string>();
  return (image) => {
    if (image === null) throw new CornerNetError('ERR_INPUT', `a picture without a name can't be found in ${what}`);
    const id = byName.get(image) ?? byName.get(basename(image));
    if (id === undefined) throw new CornerNetError('ERR_INPUT', `${what} has no picture called ${basename(image)}`);
    const earlier = given.get(id) ?? image;
    if (earlier !== image)
      throw new CornerNetError('ERR_INPUT', `${earlier} and ${image} are one picture in ${what}: that with the id ${id}`);
    given.set(id, image);
    return id;
  };
}

/** @throws {CornerNetError} `ERR_INPUT` when an annotation file can't be read, lacks one of these pictures or has two as one. */
export async function checkPictures(file: string, images: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const imageId = annotatedImageId(await readNames(file), file);
  for await (const image of images) imageId(image);
}

/** The ids of an annotation file, by file name and category name. */
function annotatedIds(names: CocoNames, classes: readonly string[], what: string): CocoIds {
  const categories = new Map(names.categories.map(({ name, id }) => [name, id]));
  const missing = classes.find((name) => !categories.has(name));
  if (missing !== undefined) throw new CornerNetError('ERR_INPUT', `${what} has no category called ${missing}`);
  return {
    imageId: annotatedImageId(names, what),
    categoryId: (classId) => categories.get(classes[classId] ?? '') ?? classId + 1,
    arePositions: false,
  };
}

/**
 * Those of annotations (a file, or its content), or plain ones without any.
 * @throws {CornerNetError} `ERR_INPUT` when the annotations can't be read, lack a class, or (at imageId) lack a picture or have two as one.
 */
export async function cocoIds(classes: readonly string[], annotations?: string | CocoNames): Promise<CocoIds> {
  if (annotations === undefined) return plainIds(classes);
  if (typeof annotations === 'string') return annotatedIds(await readNames(annotations), classes, annotations);
  return annotatedIds(checkNames(annotations, 'the annotations'), classes, 'the annotations');
}

/** An array of a JSON file, written as its values come. */
function jsonArray(open: string, close: string, valuesOf: (...result: Parameters<ResultFormat['of']>) => readonly object[]): ResultFormat {
  let between = '';
  return {
    head: open,
    of: (result) => {
      const text = valuesOf(result).map((value) => {
        const element = `${between}\n${JSON.stringify(value)}`;
        between = ',';
        return element;
      });
      return text.join('');
    },
    tail: () => `${between === '' ? '' : '\n'}${close}\n`,
  };
}

/** Counts the results that it is given. */
function toCoco(ids: CocoIds): (result: Parameters<ResultFormat['of']>[0]) => CocoDetection[] {
  let position = 0;
  return (result) => {
    const image_id = ids.imageId(result.image, position++);
    const detections = 'error' in result ? [] : result.detections;
    return detections.map(({ classId, score, box }) => ({ image_id, category_id: ids.categoryId(classId), bbox: cocoBox(box), score }));
  };
}

export function cocoFormat(ids: CocoIds): ResultFormat {
  return jsonArray('[', ']', toCoco(ids));
}

/** The pictures' ids, names and sizes (or errors), which explain results whose image ids are positions. */
export function cocoImagesFormat(ids: CocoIds): ResultFormat {
  let position = 0;
  return jsonArray('{"images":[', ']}', (result) => {
    const named = { id: ids.imageId(result.image, position++), file_name: result.image ?? '' };
    return ['error' in result ? { ...named, error: recordOf(result.error) } : { ...named, width: result.width, height: result.height }];
  });
}

/** Which ids results get. */
export interface CocoResultsOptions {
  /** Names by class id: `detector.classes`. */
  readonly classes: readonly string[];
  /**
   * An annotation file, or its content, whose ids are used: pictures by file name, classes by name. Default: image ids count the pictures from 1,
   * category ids are COCO's own for its 80 classes, else classId + 1.
   */
  readonly annotations?: string | CocoNames | undefined;
}

/**
 * Detections in COCO's results format, as `evaluateDetections` takes them. Pictures that failed have none.
 * @param results in the order of their positions; boxes become left, top, width, height in pixels.
 * @throws {CornerNetError} `ERR_INPUT` when the annotations can't be read, lack a class or a picture, or have two pictures as one.
 *
 * @example
 * ```ts
 * const results = await cocoResults(detector.detectAll(paths), { classes: detector.classes, annotations: 'instances_val2017.json' });
 * ```
 */
export async function cocoResults(results: Outcomes, { classes, annotations }: CocoResultsOptions): Promise<CocoDetection[]> {
  const detectionsOf = toCoco(await cocoIds(classes, annotations));
  const all: CocoDetection[] = [];
  for await (const result of results) all.push(...detectionsOf(result));
  return all;
}

/**
 * {@link cocoResults} as the text of a results file, in pieces: nothing is held in memory.
 * @throws {CornerNetError} as {@link cocoResults}, from the loop.
 *
 * @example
 * ```ts
 * await writeFile('results.json', toCocoJson(detector.detectAll(paths), { classes: detector.classes }));
 * ```
 */
export async function* toCocoJson(results: Outcomes, { classes, annotations }: CocoResultsOptions): AsyncGenerator<string, void> {
  yield* textOf(results, cocoFormat(await cocoIds(classes, annotations)));
}
