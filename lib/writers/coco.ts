// COCO's results format: an array of { image_id, category_id, bbox: [x, y, width, height], score }.
import { basename, normalize } from 'node:path';

import { z } from 'zod';

import { areCocoClasses, cocoCategoryIds } from '../coco/categories.js';
import { categoryIds, checkNames, cocoBox, readNames, type CocoDetection, type CocoNames } from '../coco/dataset.js';
import { CornerNetError } from '../errors.js';
import { groupBy } from '../group-by.js';
import { validated } from '../validation.js';
import { outcomesOf, recordOf, textOf, type Outcomes, type ResultFormat } from './writer.js';

/** Which ids pictures and classes have in the results. */
export interface CocoIds {
  imageId(image: string | null, position: number): number;
  categoryId(classId: number): number;
}

/** COCO's own category ids for its 80 classes, else classId + 1; image ids count the pictures from 1. */
function plainIds(classes: readonly string[]): CocoIds {
  const coco = areCocoClasses(classes);
  return {
    imageId: (_, position) => position + 1,
    categoryId: (classId) => (coco ? (cocoCategoryIds[classId] ?? classId + 1) : classId + 1),
  };
}

/** Folders that are compared at most: names are as long as whoever made the annotations likes. */
const mostFolders = 32;

/** What a path ends with, the longest first: a/b.jpg, b.jpg. */
function endsOf(path: string): string[] {
  const parts = normalize(path)
    .split('/')
    .slice(-mostFolders - 1);
  return parts.map((_, i) => parts.slice(i).join('/'));
}

interface End {
  readonly end: string;
  readonly id: number;
  /** Whether it is all of the name. */
  readonly isWhole: boolean;
}

/** The id that annotations have for a picture: that of the name with the longest common end, rather one that is no longer; one for each picture. */
function annotatedImageId({ images }: CocoNames, what: string): (image: string | null) => number {
  const ends = images.flatMap(({ file_name, id }) => endsOf(file_name).map((end, i): End => ({ end, id, isWhole: i === 0 })));
  ends.sort((a, b) => Number(b.isWhole) - Number(a.isWhole));
  const byEnd = groupBy(ends, ({ end }) => end);
  const given = new Map<number, string>();
  return (image) => {
    if (image === null) throw new CornerNetError('ERR_INPUT', `a picture without a name can't be found in ${what}`);
    const end = endsOf(image).find((one) => byEnd.has(one));
    if (end === undefined) throw new CornerNetError('ERR_INPUT', `${what} has no picture called ${basename(image)}`);
    const [{ id, isWhole }, other] = byEnd.get(end) as [End, End?];
    if (other?.isWhole === isWhole) {
      const several = `that with the id ${id} and that with the id ${other.id}`;
      throw new CornerNetError('ERR_INPUT', `${image} may be more than one picture in ${what}: ${several}`);
    }
    const earlier = given.get(id) ?? image;
    if (earlier !== image)
      throw new CornerNetError('ERR_INPUT', `${earlier} and ${image} are one picture in ${what}: that with the id ${id}`);
    given.set(id, image);
    return id;
  };
}

/** @throws {CornerNetError} `ERR_INPUT` when an annotation file can't be read, lacks one of these pictures or can't tell two apart. */
export async function checkPictures(file: string, images: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const imageId = annotatedImageId(await readNames(file), file);
  for await (const image of images) imageId(image);
}

/** The ids of an annotation file, by file name and category name; classes that are not kept it need not have. */
function annotatedIds(names: CocoNames, what: string, classes: readonly string[], kept = classes): CocoIds {
  const categories = categoryIds(names, what);
  const missing = kept.find((name) => !categories.has(name));
  if (missing !== undefined) throw new CornerNetError('ERR_INPUT', `${what} has no category called ${missing}`);
  return {
    imageId: annotatedImageId(names, what),
    categoryId: (classId) => categories.get(classes[classId] ?? '') ?? classId + 1,
  };
}

/**
 * Those of annotations (a file, or its content), or plain ones without any.
 * @throws {CornerNetError} `ERR_INPUT` when the annotations can't be read, lack a class, have two of one name, or (at imageId) lack a picture or can't tell two apart.
 */
export async function cocoIds(classes: readonly string[], annotations?: string | CocoNames, kept?: readonly string[]): Promise<CocoIds> {
  if (annotations === undefined) return plainIds(classes);
  if (typeof annotations === 'string') return annotatedIds(await readNames(annotations), annotations, classes, kept);
  return annotatedIds(checkNames(annotations, 'the annotations'), 'the annotations', classes, kept);
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
  return { ...jsonArray('[', ']', toCoco(ids)), omitsFailures: true };
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
   * An annotation file, or its content, whose ids are used: pictures by the longest common end of the paths, classes by name. Default: image ids count the pictures from 1,
   * category ids are COCO's own for its 80 classes, else classId + 1.
   */
  readonly annotations?: string | CocoNames | undefined;
}

const optionsSchema = z.strictObject({
  classes: z.array(z.string()).min(1),
  annotations: z.union([z.string().min(1), z.looseObject({})]).optional(), // a content is checked as a file's is
});

function chosenIds(options: CocoResultsOptions): Promise<CocoIds> {
  validated<unknown>(optionsSchema, options, { code: 'ERR_OPTION', what: 'option' });
  return cocoIds(options.classes, options.annotations);
}

/**
 * Detections in COCO's results format, as `evaluateDetections` takes them. Pictures that failed have none.
 * @param results in the order of their positions; boxes become left, top, width, height in pixels.
 * @throws {CornerNetError} `ERR_INPUT` when the annotations can't be read, lack a class or a picture, or can't tell two apart; `ERR_OPTION`.
 *
 * @example
 * ```ts
 * const results = await cocoResults(detector.detectAll(paths), { classes: detector.classes, annotations: 'instances_val2017.json' });
 * ```
 */
export async function cocoResults(results: Outcomes, options: CocoResultsOptions): Promise<CocoDetection[]> {
  const detectionsOf = toCoco(await chosenIds(options));
  const all: CocoDetection[] = [];
  for await (const result of outcomesOf(results)) all.push(...detectionsOf(result));
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
export async function* toCocoJson(results: Outcomes, options: CocoResultsOptions): AsyncGenerator<string, void> {
  yield* textOf(results, cocoFormat(await chosenIds(options)));
}
