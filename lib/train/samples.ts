// The pictures to learn from: which of a COCO file's count, with their boxes, and why the others do not.
import { categoryIds, type CocoAnnotation, type CocoAnnotations, type CocoImage } from '../coco/dataset.js';
import { picturesBelow } from '../coco/pictures.js';
import { CornerNetError } from '../errors.js';
import { decodeImage } from '../images/image.js';
import type { LeftOut } from '../left-out.js';
import type { NativePicture } from '../native.js';
import { defaultMaxPixels } from '../options/values.js';

/** mmdetection's: pictures with a shorter side are left out. */
const leastSidePx = 32;
/** Each object is pushed from each other one of its picture: more of them would take memory and time by their square. */
const mostObjects = 4096;

export interface LabelledObject {
  /** x1, y1, x2, y2 in pixels. */
  readonly box: readonly [number, number, number, number];
  readonly category: string;
}

export interface TrainPicture {
  /** As the annotations name it. */
  readonly name: string;
  readonly file: string;
  /** Width x height, as the annotations state them, which may be wrong. */
  readonly stated?: string | undefined;
  readonly objects: readonly LabelledObject[];
}

type Box = LabelledObject['box'];

/** The part of a box within a picture; undefined where there is none. */
function clipped([x1, y1, x2, y2]: Box, width: number, height: number): Box | undefined {
  const box: Box = [Math.max(0, x1), Math.max(0, y1), Math.min(width, x2), Math.min(height, y2)];
  return box[2] > box[0] && box[3] > box[1] ? box : undefined;
}

function objectsOf(
  { file_name, width = Infinity, height = Infinity }: CocoImage,
  annotations: readonly CocoAnnotation[],
  categories: ReadonlyMap<number, string>,
  leftOut: LeftOut,
): LabelledObject[] {
  return annotations.flatMap(({ id, bbox: [x, y, w, h], category_id, iscrowd, ignore, area = w * h }) => {
    const what = `id ${id}, in ${file_name}`;
    const category = categories.get(category_id);
    if (category === undefined) {
      leftOut.add('annotations are of categories that the file does not have', what);
      return [];
    }
    if (iscrowd !== undefined && iscrowd !== 0) {
      leftOut.add('annotations are crowds', what);
      return [];
    }
    if (ignore === true) {
      leftOut.add('annotations are to be ignored', what);
      return [];
    }
    // mmdetection's rule.
    const box: Box = [x, y, x + w, y + h];
    if (w >= 1 && h >= 1 && area > 0 && clipped(box, width, height)) return [{ box, category }];
    leftOut.add('boxes lie outside their pictures, have no area or less than a pixel a side', what);
    return [];
  });
}

/**
 * Every picture that can be learned from.
 * @throws {CornerNetError} `ERR_INPUT` when pictures are missing or outside the folder, or none has an object.
 */
export async function picturesOf(annotations: CocoAnnotations, folder: string, leftOut: LeftOut): Promise<TrainPicture[]> {
  const files = await picturesBelow(folder, annotations);
  const categories = new Map(annotations.categories.map(({ id, name }) => [id, name]));
  const byImage = new Map<number, CocoAnnotation[]>(annotations.images.map(({ id }) => [id, []]));
  for (const annotation of annotations.annotations) {
    const list = byImage.get(annotation.image_id);
    if (list) list.push(annotation);
    else leftOut.add('annotations are of pictures that the file does not have', `id ${annotation.id}`);
  }
  const pictures = annotations.images.flatMap((image, i): TrainPicture[] => {
    const { id, file_name, width = Infinity, height = Infinity } = image;
    if (Math.min(width, height) < leastSidePx) {
      leftOut.add(`pictures have less than ${leastSidePx} pixels on a side`, file_name);
      return [];
    }
    const objects = objectsOf(image, byImage.get(id) ?? [], categories, leftOut);
    if (objects.length === 0) leftOut.add('pictures have no object to learn', file_name);
    if (objects.length > mostObjects) leftOut.add(`pictures have more than ${mostObjects} objects`, file_name);
    if (objects.length === 0 || objects.length > mostObjects) return [];
    const stated = image.width === undefined || image.height === undefined ? undefined : `${width}x${height}`;
    return [{ name: file_name, file: files[i] ?? '', stated, objects }];
  });
  if (pictures.length === 0) {
    throw new CornerNetError(
      'ERR_INPUT',
      `none of the ${annotations.images.length} annotated pictures can be learned from: ${leftOut.sentences.join('; ')}`,
    );
  }
  return pictures;
}

/** Names by class id: the categories in the order of their ids. */
export function classesOf(annotations: CocoAnnotations): string[] {
  return [...categoryIds(annotations)].sort(([, a], [, b]) => a - b).map(([name]) => name);
}

export interface DecodedSample {
  readonly picture: NativePicture;
  /** x1, y1, x2, y2, class id of each object. */
  readonly boxes: Float32Array;
  /** Its size, in a sentence, where the annotations state another. */
  readonly resized: string | undefined;
}

/**
 * A picture decoded, with its boxes within it.
 * @throws {CornerNetError} `ERR_INPUT`, `ERR_TOO_LARGE` when it can't be read, is too small, or no object lies in it.
 */
export async function decodeSample({ file, stated, objects }: TrainPicture, classIds: ReadonlyMap<string, number>): Promise<DecodedSample> {
  const { data, width, height } = await decodeImage(file, defaultMaxPixels);
  const real = `${width}x${height}`;
  const resized =
    stated === undefined || stated === real ? undefined : `${file} has ${real} pixels, not ${stated} as the annotations state`;
  const size = resized ?? `${file} has ${real} pixels`;
  if (Math.min(width, height) < leastSidePx) throw new CornerNetError('ERR_INPUT', `${size}, less than ${leastSidePx} on a side`);
  const boxes = objects.flatMap(({ box, category }) => {
    const inside = clipped(box.map(Math.fround) as unknown as Box, width, height);
    return inside ? [...inside, classIds.get(category) ?? 0] : [];
  });
  if (boxes.length === 0) throw new CornerNetError('ERR_INPUT', `${size}, in which no annotated object lies`);
  return { picture: { data, width, height }, boxes: Float32Array.from(boxes), resized };
}
