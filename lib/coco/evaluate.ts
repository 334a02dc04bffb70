// COCO's average precision and recall for boxes, equal to pycocotools' COCOeval.
import { groupBy } from '../group-by.js';
import { LeftOut } from '../left-out.js';
import { checkAnnotations, checkDetections, type CocoAnnotations, type CocoDetection } from './dataset.js';
import {
  areaRanges,
  matchScene,
  mostDetections,
  overlapMatrix,
  overlaps,
  type FoundBox,
  type Match,
  type Scene,
  type TruthBox,
} from './matching.js';

/** One of the numbers, as tables show it. */
export function shownNumber(value: number): string {
  return value < 0 ? '-' : value.toFixed(4);
}

/** The twelve numbers of COCO's summary, 0 to 1; -1 where no object counts. */
export interface CocoStats {
  /** Mean over overlaps 0.50 to 0.95 and classes. */
  readonly AP: number;
  readonly AP50: number;
  readonly AP75: number;
  /** Objects below 32x32 pixels. */
  readonly APs: number;
  readonly APm: number;
  /** Objects above 96x96 pixels. */
  readonly APl: number;
  /** With one detection of a class a picture. */
  readonly AR1: number;
  readonly AR10: number;
  readonly AR100: number;
  readonly ARs: number;
  readonly ARm: number;
  readonly ARl: number;
}

/** What {@link evaluateDetections} gives. */
export interface CocoEvaluation {
  readonly stats: CocoStats;
  /** By category id; -1 where the category has no object that counts. */
  readonly perClassAP: Readonly<Record<string, number>>;
  /** Mean over the classes that count, at recall 0, 0.01 ... 1, for each overlap 0.50, 0.55 ... 0.95. */
  readonly precision: readonly (readonly number[])[];
  /** Things that were counted and passed over, in words. */
  readonly warnings: readonly string[];
}

const detectionLimits = [1, 10, mostDetections] as const;
const recallLevels = Array.from({ length: 101 }, (_, i) => (i === 100 ? 1 : i * 0.01));
const epsilon = 2 ** -52;

/** A class in one picture, matched in every area range. */
interface MatchedScene {
  readonly scores: Float64Array;
  readonly matches: readonly Match[];
}

interface ClassResult {
  /** [area range][overlap][recall level], undefined where no object counts. */
  readonly precision: (Float64Array[] | undefined)[];
  /** [area range][limit][overlap], undefined where no object counts. */
  readonly recall: (number[][] | undefined)[];
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? -1 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function matchAll(scene: Scene): MatchedScene {
  const matrix = overlapMatrix(scene);
  return {
    scores: Float64Array.from(scene.found, ({ score }) => score),
    matches: areaRanges.map((range) => matchScene(scene, matrix, range)),
  };
}

/** Detections of all pictures in descending score; ties stay in the order of the pictures. */
interface Ranked {
  readonly matched: Uint16Array;
  readonly ignored: Uint16Array;
  /** Place in its own picture, from 0. */
  readonly place: Uint8Array;
}

function rank(scenes: readonly MatchedScene[], area: number, order: Uint32Array, total: number): Ranked {
  const flat = { matched: new Uint16Array(total), ignored: new Uint16Array(total), place: new Uint8Array(total) };
  let at = 0;
  for (const { matches, scores } of scenes) {
    const { matched, ignored } = matches[area] as Match;
    flat.matched.set(matched, at);
    flat.ignored.set(ignored, at);
    for (let d = 0; d < scores.length; d++) flat.place[at + d] = d;
    at += scores.length;
  }
  const pick = <T extends Uint16Array | Uint8Array>(from: T, to: T): T => {
    for (let i = 0; i < total; i++) to[i] = from[order[i] as number] as number;
    return to;
  };
  return {
    matched: pick(flat.matched, new Uint16Array(total)),
    ignored: pick(flat.ignored, new Uint16Array(total)),
    place: pick(flat.place, new Uint8Array(total)),
  };
}

/** Precision at each recall level and the last recall, at one overlap. */
function curve(ranked: Ranked, bit: number, limit: number, truths: number): { precision: Float64Array; recall: number } {
  const { matched, ignored, place } = ranked;
  const recalls = new Float64Array(matched.length);
  const precisions = new Float64Array(matched.length);
  let right = 0;
  let wrong = 0;
  let n = 0;
  for (let i = 0; i < matched.length; i++) {
    if ((place[i] as number) >= limit) continue;
    if (((ignored[i] as number) & bit) === 0) {
      if (((matched[i] as number) & bit) !== 0) right++;
      else wrong++;
    }
    recalls[n] = right / truths;
    precisions[n++] = right / (wrong + right + epsilon);
  }
  for (let i = n - 1; i > 0; i--)
    if ((precisions[i] as number) > (precisions[i - 1] as number)) precisions[i - 1] = precisions[i] as number;
  const precision = new Float64Array(recallLevels.length);
  let at = 0;
  recallLevels.forEach((level, r) => {
    while (at < n && (recalls[at] as number) < level) at++;
    precision[r] = at < n ? (precisions[at] as number) : 0;
  });
  return { precision, recall: n === 0 ? 0 : (recalls[n - 1] as number) };
}

function accumulate(scenes: readonly MatchedScene[]): ClassResult {
  const total = scenes.reduce((sum, { scores }) => sum + scores.length, 0);
  const scores = new Float64Array(total);
  let at = 0;
  for (const scene of scenes) {
    scores.set(scene.scores, at);
    at += scene.scores.length;
  }
  const order = Uint32Array.from(scores, (_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const result: ClassResult = { precision: [], recall: [] };
  areaRanges.forEach((_, area) => {
    const truths = scenes.reduce((sum, { matches }) => sum + (matches[area] as Match).truths, 0);
    if (truths === 0) {
      result.precision.push(undefined);
      result.recall.push(undefined);
      return;
    }
    const ranked = rank(scenes, area, order, total);
    const curves = detectionLimits.map((limit) => overlaps.map((__, level) => curve(ranked, 1 << level, limit, truths)));
    result.precision.push(curves.at(-1)?.map(({ precision }) => precision));
    result.recall.push(curves.map((levels) => levels.map(({ recall }) => recall)));
  });
  return result;
}

/** Whose a box is. */
type BoxOfPicture<Box> = Box & Pick<CocoDetection, 'image_id' | 'category_id'>;

/** By class and picture. */
function byClass<Box>(boxes: readonly BoxOfPicture<Box>[]): (category: number) => Map<number, BoxOfPicture<Box>[]> {
  const classes = groupBy(boxes, ({ category_id }) => category_id);
  return (category) => groupBy(classes.get(category) ?? [], ({ image_id }) => image_id);
}

/** Objects and detections that count, by class and picture. */
function sort(annotations: CocoAnnotations, detections: readonly CocoDetection[], warnings: LeftOut) {
  const images = new Map(annotations.images.map((image) => [image.id, image]));
  const categories = new Set(annotations.categories.map(({ id }) => id));
  const ids = new Set<number>();
  const truth: BoxOfPicture<TruthBox>[] = [];
  const found: BoxOfPicture<FoundBox>[] = [];
  for (const { id, image_id, category_id, bbox, area, iscrowd } of annotations.annotations) {
    if (!images.has(image_id) || !categories.has(category_id)) {
      warnings.add('annotations name a picture or category that the file does not have and are left out', `id ${id}`);
      continue;
    }
    if (ids.size === ids.add(id).size)
      warnings.add('annotations have the id of an earlier one; pycocotools takes the last one for all of them, we do not', `id ${id}`);
    if (Math.min(bbox[2], bbox[3], area ?? 0) < 0)
      warnings.add('annotations have a negative width, height or area; as in pycocotools they are missed or do not count', `id ${id}`);
    if (id === 0) warnings.add('annotations have the id 0, which pycocotools never takes for found; neither do we', `picture ${image_id}`);
    truth.push({ image_id, category_id, id, bbox, area: area ?? bbox[2] * bbox[3], crowd: Boolean(iscrowd) });
  }
  detections.forEach((detection, i) => {
    const { image_id, category_id, bbox } = detection;
    const image = images.get(image_id);
    if (!image) warnings.add('detections are of pictures that the annotations do not have and are left out', `picture ${image_id}`);
    else if (!categories.has(category_id))
      warnings.add('detections are of categories that the annotations do not have and are left out', `category ${category_id}`);
    else {
      const [x, y, width, height] = bbox;
      // A pixel of slack: results of other programs are rounded.
      if (x < -1 || y < -1 || x + width > (image.width ?? Infinity) + 1 || y + height > (image.height ?? Infinity) + 1) {
        warnings.add('detections reach outside their pictures; they count as they are', `number ${i}, in picture ${image_id}`);
      }
      found.push(detection);
    }
  });
  return { truth: byClass(truth), found: byClass(found) };
}

function summarize(classes: readonly ClassResult[]): CocoStats {
  const precision = (area: number, level?: number): number =>
    mean(
      classes.flatMap((one) => {
        const levels = one.precision[area];
        if (!levels) return [];
        return level === undefined ? levels.flatMap((values) => [...values]) : [...(levels[level] as Float64Array)];
      }),
    );
  const recall = (area: number, limit: number): number => mean(classes.flatMap((one) => one.recall[area]?.[limit] ?? []));
  return {
    AP: precision(0),
    AP50: precision(0, 0),
    AP75: precision(0, 5),
    APs: precision(1),
    APm: precision(2),
    APl: precision(3),
    AR1: recall(0, 0),
    AR10: recall(0, 1),
    AR100: recall(0, 2),
    ARs: recall(1, 2),
    ARm: recall(2, 2),
    ARl: recall(3, 2),
  };
}

/**
 * COCO's evaluation of boxes, equal to pycocotools (crowds, ignored areas, at most 100 detections of a class in a picture).
 * Boxes are left, top, width, height in pixels. Detections of unknown pictures and categories are left out and counted in `warnings`.
 *
 * @example
 * ```ts
 * const { stats } = evaluateDetections(JSON.parse(await readFile('instances.json', 'utf8')), results);
 * console.log(stats.AP, stats.AP50);
 * ```
 * @throws {CornerNetError} `ERR_INPUT` when the annotations or detections aren't COCO's.
 */
export function evaluateDetections(annotations: CocoAnnotations, detections: readonly CocoDetection[]): CocoEvaluation {
  return evaluateChecked(checkAnnotations(annotations, 'the annotations'), checkDetections(detections, 'the detections'));
}

/** {@link evaluateDetections} of what was checked when it was read. */
export function evaluateChecked(annotations: CocoAnnotations, detections: readonly CocoDetection[]): CocoEvaluation {
  const warnings = new LeftOut();
  const { truth, found } = sort(annotations, detections, warnings);
  const ids = annotations.categories.map(({ id }) => id).sort((a, b) => a - b);
  const imageIds = annotations.images.map(({ id }) => id).sort((a, b) => a - b);
  const classes = ids.map((category) => {
    const [objects, boxes] = [truth(category), found(category)];
    const scenes = imageIds
      .filter((image) => objects.has(image) || boxes.has(image))
      .map((image) => {
        const best = [...(boxes.get(image) ?? [])].sort((a, b) => b.score - a.score).slice(0, mostDetections);
        return matchAll({ truth: objects.get(image) ?? [], found: best });
      });
    return accumulate(scenes);
  });
  const perClassAP = Object.fromEntries(
    ids.map((id, i) => [String(id), mean((classes[i]?.precision[0] ?? []).flatMap((values) => [...values]))]),
  );
  const counted = classes.flatMap(({ precision }) => (precision[0] ? [precision[0]] : []));
  const precision = overlaps.map((_, level) => recallLevels.map((__, r) => mean(counted.map((levels) => levels[level]?.[r] ?? 0))));
  return { stats: summarize(classes), perClassAP, precision, warnings: warnings.sentences };
}
