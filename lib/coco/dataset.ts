// COCO annotations and results, read and checked.
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import type { Detection } from '../detector/result.js';
import { readJson } from '../regular-file.js';
import { validated } from '../validation.js';

/** Left, top, width, height in pixels. */
export type CocoBox = readonly [number, number, number, number];

/** Of a detection's x1, y1, x2, y2. */
export function cocoBox([x1, y1, x2, y2]: Detection['box']): CocoBox {
  return [x1, y1, x2 - x1, y2 - y1];
}

/** One of `images` in an annotation file. */
export interface CocoImage {
  readonly id: number;
  /** From the folder of pictures, or a whole path below it. */
  readonly file_name: string;
  /** Pixels. */
  readonly width?: number | undefined;
  /** Pixels. */
  readonly height?: number | undefined;
}

/** One of `annotations`. */
export interface CocoAnnotation {
  readonly id: number;
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox: CocoBox;
  /** Square pixels; of the object's mask in COCO's own files. Default: the box's. */
  readonly area?: number | undefined;
  /** 1 where the box holds a crowd, in which any number of detections may lie. Default 0. */
  readonly iscrowd?: number | undefined;
  /** Whether training passes over it. Default: no. */
  readonly ignore?: boolean | undefined;
}

/** An annotation file, as `instances_val2017.json` is. */
export interface CocoAnnotations {
  readonly images: readonly CocoImage[];
  readonly annotations: readonly CocoAnnotation[];
  readonly categories: readonly { readonly id: number; readonly name: string }[];
}

/** What results need of an annotation file: which ids pictures and classes have. A list of pictures without annotations will do. */
export type CocoNames = Pick<CocoAnnotations, 'images' | 'categories'>;

/** An element of a COCO results file. */
export interface CocoDetection {
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox: CocoBox;
  readonly score: number;
}

const number = z.number();
const size = number.min(0);
const box = z.tuple([number, number, size, size]).readonly();
/** An object's, which may have a negative width or height: one such box among thousands is no reason to refuse the file. */
const anyBox = z.tuple([number, number, number, number]).readonly();
const crowd = z.union([z.int(), z.boolean().transform(Number)], { error: 'expected 0 or 1' });

/** What is optional some programs write as null. */
function orNull<T>(schema: z.ZodType<T>) {
  return schema
    .nullish()
    .transform((value) => value ?? undefined)
    .optional();
}

const annotationsSchema = z.object({
  images: z.array(z.object({ id: z.int(), file_name: z.string(), width: orNull(size), height: orNull(size) })).min(1),
  annotations: z.array(
    z.object({
      id: z.int(),
      image_id: z.int(),
      category_id: z.int(),
      bbox: anyBox,
      area: orNull(number),
      iscrowd: orNull(crowd),
      ignore: orNull(z.union([z.boolean(), z.number().transform(Boolean)])),
    }),
  ),
  categories: z.array(z.object({ id: z.int(), name: z.string() })).min(1),
});

const namesSchema = annotationsSchema.pick({ images: true, categories: true });
const detectionsSchema = z.array(z.object({ image_id: z.int(), category_id: z.int(), bbox: box, score: number }));

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  return validated(schema, value, { code: 'ERR_INPUT', what: `${what}:` });
}

/** The first of the values that an earlier one equals. */
function firstTwice<T>(values: readonly T[]): T | undefined {
  const seen = new Set<T>();
  return values.find((value) => seen.size === seen.add(value).size);
}

/**
 * Category ids by name.
 * @throws {CornerNetError} `ERR_INPUT` when two have one name.
 */
export function categoryIds({ categories }: Pick<CocoNames, 'categories'>, what = 'the annotations'): Map<string, number> {
  const twice = firstTwice(categories.map(({ name }) => name));
  if (twice !== undefined) throw new CornerNetError('ERR_INPUT', `two categories of ${what} are called ${twice}`);
  return new Map(categories.map(({ name, id }) => [name, id]));
}

function distinct<T extends CocoNames>(names: T, what: string): T {
  for (const kind of ['images', 'categories'] as const) {
    const twice = firstTwice(names[kind].map(({ id }) => id));
    if (twice !== undefined) throw new CornerNetError('ERR_INPUT', `${what}: two ${kind} have the id ${twice}`);
  }
  return names;
}

/** @throws {CornerNetError} `ERR_INPUT` naming the first thing that is wrong. */
export function checkAnnotations(value: unknown, what: string): CocoAnnotations {
  return distinct(checked(annotationsSchema, value, what), what);
}

/** As {@link checkAnnotations}, of what results need. */
export function checkNames(value: unknown, what: string): CocoNames {
  return distinct(checked(namesSchema, value, what), what);
}

/** @throws {CornerNetError} `ERR_INPUT` naming the first thing that is wrong. */
export function checkDetections(value: unknown, what: string): CocoDetection[] {
  return checked(detectionsSchema, value, what);
}

export async function readAnnotations(file: string): Promise<CocoAnnotations> {
  return checkAnnotations(await readJson(file), file);
}

export async function readNames(file: string): Promise<CocoNames> {
  return checkNames(await readJson(file), file);
}

export async function readDetections(file: string): Promise<CocoDetection[]> {
  return checkDetections(await readJson(file), file);
}
