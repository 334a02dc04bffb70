// A training's report.html: curves of what was logged, and pictures with what is there and what is found.
import { join } from 'node:path';

import { Detector } from '../detector/detector.js';
import type { Detection } from '../detector/result.js';
import { writeText } from '../output-file.js';
import { ofDetections, type LabelledBox } from '../render/boxes.js';
import { chart, type PlotSeries } from '../report/chart.js';
import { htmlPage, htmlTable, type Section } from '../report/page.js';
import { drawSmall, sheet, type Thumbnail } from '../report/sheet.js';
import { resolveWeights } from '../weights/weights.js';
import { loggedSteps, type LoggedStep, type TrainLog } from './log.js';
import type { TrainMaterial, TrainPlan } from './plan.js';
import type { LabelledObject, TrainPicture } from './samples.js';

/** Points of a curve at most: each is then a mean of several steps. */
const mostPoints = 400;
const shownPictures = 8;
const shownScore = 0.3;

/** Means of so many values each. */
class Means {
  readonly points: { x: number; y: number }[] = [];
  #count = 0;

  constructor(private readonly each: number) {}

  add(x: number, y: number): void {
    const last = this.points.at(-1);
    if (last && this.#count < this.each) {
      last.x = x;
      last.y += (y - last.y) / ++this.#count;
    } else {
      this.points.push({ x, y });
      this.#count = 1;
    }
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

interface CurveOfSteps {
  readonly title: string;
  readonly unit: string;
  readonly text: string;
  readonly lines: Readonly<Record<string, (step: LoggedStep) => number | null>>;
}

const ofLosses: CurveOfSteps = {
  title: 'Losses',
  unit: 'loss',
  text: 'Sums over the levels.',
  lines: {
    total: ({ loss }) => loss,
    corners: ({ det }) => sum(det),
    offsets: ({ off }) => sum(off),
    pull: ({ pull }) => sum(pull),
    push: ({ push }) => sum(push),
  },
};

const others: readonly CurveOfSteps[] = [
  { title: 'Learning rate', unit: 'rate', text: 'Of Adam.', lines: { 'learning rate': ({ learningRate }) => learningRate } },
  { title: "Gradient's norm", unit: 'norm', text: 'Before it is clipped to 35.', lines: { norm: ({ gradientNorm }) => gradientNorm } },
  {
    title: 'Rate',
    unit: 'pictures a second',
    text: 'Means of the last half minute.',
    lines: { rate: ({ picturesPerSecond }) => picturesPerSecond },
  },
];

/** @param done steps that the log has. */
async function curves(log: TrainLog, done: number): Promise<Section[]> {
  const each = Math.ceil(done / mostPoints);
  const drawn = [ofLosses, ...others].map((curve) => ({
    ...curve,
    lines: Object.entries(curve.lines).map(([name, value]) => ({ name, value, means: new Means(each) })),
  }));
  const lines = drawn.flatMap((curve) => curve.lines);
  for await (const step of loggedSteps(log)) {
    for (const { value, means } of lines) {
      const y = value(step);
      if (y !== null) means.add(step.iteration, y);
    }
  }
  const [losses = [], ...more] = drawn.map(({ title, text, unit, lines }): Section[] => {
    const series = lines.map(({ name, means: { points } }): PlotSeries => ({ name, mark: 'line', points }));
    if (series.every(({ points }) => points.length < 2)) return [];
    return [{ title, text, html: chart({ label: title, x: { name: 'steps' }, y: { name: unit }, series }) }];
  });
  return [...losses, ...precisionCurves(log), ...more.flat()];
}

function precisionCurves({ validations }: TrainLog): Section[] {
  if (validations.length === 0) return [];
  const marked = (name: 'AP' | 'AP50'): PlotSeries => ({
    name,
    mark: 'line and dots',
    points: validations.map((one) => ({ x: one.iteration, y: Math.max(0, one[name]) })),
  });
  const html = chart({
    label: 'Average precision over steps',
    x: { name: 'steps' },
    y: { name: 'average precision' },
    series: [marked('AP'), marked('AP50')],
  });
  return [{ title: 'Average precision', text: "COCO's, on the validation's pictures.", html }];
}

/** Pictures of the validation, else of the training, that have objects. */
function chosen({ pictures, validation }: TrainMaterial): TrainPicture[] {
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

async function found(weights: string, pictures: readonly TrainPicture[], signal: AbortSignal | undefined): Promise<Detection[][]> {
  await using detector = await Detector.load(weights, { device: 'cpu', precision: 'fp32', flip: false, scoreThreshold: shownScore });
  const lists: Detection[][] = [];
  for await (const result of detector.detectAll(
    pictures.map(({ file }) => file),
    { signal },
  ))
    lists.push('error' in result ? [] : [...result.detections]);
  return lists;
}

function thumbnail(caption: string, { file, objects }: TrainPicture, detections: readonly Detection[]): Thumbnail {
  const there = objects.map(({ box, category }): LabelledBox => ({ text: category, box, colour: '#3b4754', dashed: true }));
  return {
    caption,
    draw: () => drawSmall(file, [...ofDetections(detections), ...there]),
  };
}

async function pictureSection(
  files: { readonly last: string },
  from: string | undefined,
  material: TrainMaterial,
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
  done: number,
  material: TrainMaterial,
  log: TrainLog,
  signal: AbortSignal | undefined,
): Promise<void> {
  const rows = Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
  const reasons = [...log.failures];
  const best = log.validations.filter((one) => one.best).at(-1);
  const precision = best ? `; the best AP is ${best.AP.toFixed(4)}, after step ${best.iteration}` : '';
  await writeText(
    files.report,
    htmlPage('CornerNet training', `${done} of ${settings.iterations} steps are done${precision}.`, [
      ...(await curves(log, done)),
      ...(await pictureSection(files, settings.from, material, signal)),
      ...(reasons.length === 0
        ? []
        : [{ title: 'Left out', text: 'Pictures that could not be read.', html: htmlTable({ head: ['picture', 'why'], rows: reasons }) }]),
      { title: 'Settings', html: htmlTable({ head: ['', 'value'], rows }) },
    ]),
  );
}
