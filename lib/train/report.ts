// A training's report.html: curves of what was logged, and pictures with what is there and what is found.
import { join } from 'node:path';

import { Detector } from '../detector/detector.js';
import type { Detection } from '../detector/result.js';
import { writeText } from '../output-file.js';
import { classColour, renderLabelledBoxes, type LabelledBox } from '../render/boxes.js';
import { chart, type PlotSeries, type Point } from '../report/chart.js';
import { htmlPage, htmlTable, type Section } from '../report/page.js';
import { sheet, sheetMaxBoxes, sheetMaxPixels, thumbnailPx, type Thumbnail } from '../report/sheet.js';
import { resolveWeights } from '../weights/weights.js';
import type { TrainLog } from './log.js';
import type { TrainPlan } from './plan.js';
import type { LabelledObject } from './samples.js';
import type { Validation } from './validate.js';

/** Points of a curve at most: each is then a mean of several steps. */
const mostPoints = 400;
const shownPictures = 8;
const shownScore = 0.3;

interface ReportPicture {
  readonly name: string;
  readonly file: string;
  readonly objects: readonly LabelledObject[];
}

interface ReportMaterial {
  readonly pictures: readonly ReportPicture[];
  readonly validation: Validation | undefined;
}

function means(points: readonly Point[]): Point[] {
  const each = Math.ceil(points.length / mostPoints);
  return Array.from({ length: Math.ceil(points.length / Math.max(1, each)) }, (_, i) => {
    const some = points.slice(i * each, (i + 1) * each);
    return { x: some.at(-1)?.x ?? 0, y: some.reduce((sum, { y }) => sum + y, 0) / some.length };
  });
}

function curve(
  title: string,
  unit: string,
  text: string,
  lines: readonly (readonly [name: string, points: readonly Point[]])[],
): Section[] {
  const series = lines.map(([name, points]): PlotSeries => ({ name, mark: 'line', points: means(points) }));
  if (series.every(({ points }) => points.length < 2)) return [];
  return [{ title, text, html: chart({ label: title, x: { name: 'steps' }, y: { name: unit }, series }) }];
}

function curves({ steps, validations }: TrainLog): Section[] {
  const of = (value: (step: TrainLog['steps'][number]) => number | null): Point[] =>
    steps.flatMap((step) => {
      const y = value(step);
      return y === null ? [] : [{ x: step.iteration, y }];
    });
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const precision = validations.map(({ iteration: x, AP: y }) => ({ x, y: Math.max(0, y) }));
  const AP50 = validations.map(({ iteration: x, AP50: y }) => ({ x, y: Math.max(0, y) }));
  const marked = (name: string, points: readonly Point[]): PlotSeries => ({ name, mark: 'line and dots', points });
  return [
    ...curve('Losses', 'loss', 'Sums over the levels.', [
      ['total', of(({ loss }) => loss)],
      ['corners', of(({ det }) => sum(det))],
      ['offsets', of(({ off }) => sum(off))],
      ['pull', of(({ pull }) => sum(pull))],
      ['push', of(({ push }) => sum(push))],
    ]),
    ...(validations.length === 0
      ? []
      : [
          {
            title: 'Average precision',
            text: "COCO's, on the validation's pictures.",
            html: chart({
              label: 'Average precision over steps',
              x: { name: 'steps' },
              y: { name: 'average precision' },
              series: [marked('AP', precision), marked('AP50', AP50)],
            }),
          },
        ]),
    ...curve('Learning rate', 'rate', 'Of Adam.', [['learning rate', of(({ learningRate }) => learningRate)]]),
    ...curve("Gradient's norm", 'norm', 'Before it is clipped to 35.', [['norm', of(({ gradientNorm }) => gradientNorm)]]),
    ...curve('Rate', 'pictures a second', 'Means of the last half minute.', [['rate', of(({ picturesPerSecond }) => picturesPerSecond)]]),
  ];
}

/** Pictures of the validation, else of the training, that have objects. */
function chosen({ pictures, validation }: ReportMaterial): ReportPicture[] {
  if (!validation) return pictures.slice(0, shownPictures);
  const { annotations, images } = validation;
  const names = new Map(annotations.categories.map(({ id, name }) => [id, name]));
  const annotated = new Set(annotations.annotations.map(({ image_id }) => image_id));
  const shown = annotations.images.filter(({ id }) => annotated.has(id)).slice(0, shownPictures);
  return shown.map(({ id, file_name }) => ({
    name: file_name,
    file: join(images, file_name),
    objects: annotations.annotations
      .filter(({ image_id }) => image_id === id)
      .map(({ bbox: [x, y, w, h], category_id }): LabelledObject => ({
        box: [x, y, x + w, y + h],
        category: names.get(category_id) ?? '',
      })),
  }));
}

async function found(weights: string, pictures: readonly ReportPicture[], signal: AbortSignal | undefined): Promise<Detection[][]> {
  await using detector = await Detector.load(weights, { device: 'cpu', precision: 'fp32', flip: false, scoreThreshold: shownScore });
  const lists: Detection[][] = [];
  for await (const result of detector.detectAll(
    pictures.map(({ file }) => file),
    { signal },
  ))
    lists.push('error' in result ? [] : [...result.detections]);
  return lists;
}

function thumbnail(caption: string, { file, objects }: ReportPicture, detections: readonly Detection[]): Thumbnail {
  const there = objects.map(({ box, category }): LabelledBox => ({ text: category, box, colour: '#3b4754', dashed: true }));
  const finds = detections.map(({ label, score, box, classId }): LabelledBox => ({ text: `${label} ${score.toFixed(2)}`, box, colour: classColour(classId) })); // prettier-ignore
  return { caption, draw: () => renderLabelledBoxes(file, [...finds, ...there].slice(0, sheetMaxBoxes), sheetMaxPixels, thumbnailPx) };
}

async function pictureSection(
  files: { readonly last: string },
  from: string | undefined,
  material: ReportMaterial,
  signal: AbortSignal | undefined,
): Promise<Section[]> {
  const pictures = chosen(material);
  const before = from === undefined ? undefined : await found(resolveWeights(from).path, pictures, signal);
  const after = await found(files.last, pictures, signal);
  const thumbnails = pictures.flatMap((picture, i) => [
    ...(before ? [thumbnail(`${picture.name} before`, picture, before[i] ?? [])] : []),
    thumbnail(`${picture.name} after`, picture, after[i] ?? []),
  ]);
  return sheet('Pictures', `Dashed: what is there; in colours: what is found with a score of ${shownScore} and more.`, thumbnails);
}

export async function writeTrainReport(
  files: { readonly last: string; readonly report: string },
  { settings }: TrainPlan,
  material: ReportMaterial,
  log: TrainLog,
  signal: AbortSignal | undefined,
): Promise<void> {
  const rows = Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
  const failed = log.steps.flatMap((step) => step.failed ?? []);
  const reasons = [...new Map(failed.map(({ name, reason }) => [name, [name, reason] as const])).values()];
  const best = log.validations.filter((one) => one.best).at(-1);
  const precision = best ? `; the best AP is ${best.AP.toFixed(4)}, after step ${best.iteration}` : '';
  const done = log.steps.at(-1)?.iteration ?? 0;
  await writeText(
    files.report,
    htmlPage('CornerNet training', `${done} of ${settings.iterations} steps are done${precision}.`, [
      ...curves(log),
      ...(await pictureSection(files, settings.from, material, signal)),
      ...(reasons.length === 0
        ? []
        : [{ title: 'Left out', text: 'Pictures that could not be read.', html: htmlTable({ head: ['picture', 'why'], rows: reasons }) }]),
      { title: 'Settings', html: htmlTable({ head: ['', 'value'], rows }) },
    ]),
  );
}
