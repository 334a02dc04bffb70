// The evaluation as a page: the numbers, precision over recall, what was taken for what, and the worst pictures.
import { join } from 'node:path';

import type { Detection } from '../detector/result.js';
import { renderBoxes } from '../render/boxes.js';
import { chart, escapeHtml, htmlPage, htmlTable, type Section } from '../report/page.js';
import type { Confusion } from './confusion.js';
import type { CocoAnnotations, CocoDetection } from './dataset.js';
import type { CocoEvaluation } from './evaluate.js';
import { overlaps } from './matching.js';

const worstPictures = 12;
const thumbnailPx = 420;
const pageMaxPixels = 100_000_000;
/** Beyond so many classes a matrix can't be read: those that are confused most are shown. */
const shownClasses = 30;

export interface EvaluationPage {
  /** In words: what was evaluated. */
  readonly subject: string;
  readonly annotations: CocoAnnotations;
  readonly detections: readonly CocoDetection[];
  readonly evaluation: CocoEvaluation;
  readonly confusion: Confusion;
  /** Of confusion and drawings. */
  readonly scoreThreshold: number;
  /** Folder of the pictures; without it none is drawn. */
  readonly images?: string | undefined;
}

function shownNumber(value: number): string {
  return value < 0 ? '-' : value.toFixed(4);
}

function curves({ evaluation }: EvaluationPage): Section {
  const recall = Array.from({ length: 101 }, (_, i) => i / 100);
  const shown = [0, 5, 9];
  const option = {
    legend: {},
    xAxis: { type: 'value' as const, name: 'recall', nameLocation: 'middle' as const, nameGap: 28, min: 0, max: 1 },
    yAxis: { type: 'value' as const, name: 'precision', min: 0, max: 1 },
    series: shown.map((level) => ({
      type: 'line' as const,
      showSymbol: false,
      name: `overlap ${(overlaps[level] ?? 0).toFixed(2)}`,
      data: (evaluation.precision[level] ?? []).map((value, i) => [recall[i] ?? 0, value]),
    })),
  };
  return {
    title: 'Precision over recall',
    text: 'Mean over the classes, all areas, at most 100 detections of a class in a picture.',
    html: chart(option, 'precision over recall at three overlaps'),
  };
}

function classes({ annotations, evaluation }: EvaluationPage): Section {
  const rows = [...annotations.categories]
    .sort((a, b) => a.id - b.id)
    .map(({ id, name }) => [name, id, shownNumber(evaluation.perClassAP[String(id)] ?? -1)]);
  return { title: 'Classes', html: htmlTable(['class', 'id', 'AP'], rows) };
}

function matrix({ confusion, scoreThreshold }: EvaluationPage): Section {
  const { names, counts } = confusion;
  const nothing = names.length;
  const mistakes = names.map((_, i) => (counts[i] ?? []).reduce((sum, count, j) => (i === j ? sum : sum + count), 0));
  const order = names.map((_, i) => i);
  const kept = names.length <= shownClasses ? order : order.sort((a, b) => (mistakes[b] ?? 0) - (mistakes[a] ?? 0)).slice(0, shownClasses);
  const all = [...kept, nothing];
  const nameOf = (i: number): string => names[i] ?? 'nothing';
  const rows = all.map((i) => [nameOf(i), ...all.map((j) => (i === nothing && j === nothing ? '' : String(counts[i]?.[j] ?? 0)))]);
  const some = names.length > kept.length ? ` The ${kept.length} of ${names.length} classes with the most mistakes.` : '';
  return {
    title: 'What was taken for what',
    text: `Rows: what it is. Columns: what it was taken for. Detections of at least ${scoreThreshold}, overlap of at least 0.5, crowds left out.${some}`,
    html: htmlTable(['', ...all.map(nameOf)], rows),
  };
}

function asDetections(page: EvaluationPage, imageId: number): Detection[] {
  const names = new Map(page.annotations.categories.map(({ id, name }) => [id, name]));
  return page.detections
    .filter(({ image_id, score }) => image_id === imageId && score >= page.scoreThreshold)
    .sort((a, b) => b.score - a.score)
    .map(({ category_id, score, bbox: [x, y, width, height] }) => ({
      label: names.get(category_id) ?? String(category_id),
      classId: category_id,
      score,
      box: [x, y, x + width, y + height],
    }));
}

async function worst(page: EvaluationPage): Promise<Section[]> {
  const { images, annotations, confusion } = page;
  if (images === undefined || confusion.pictures.length === 0) return [];
  const names = new Map(annotations.images.map(({ id, file_name }) => [id, file_name]));
  const figures: string[] = [];
  for (const { imageId, missed, wrong } of confusion.pictures.slice(0, worstPictures)) {
    const name = names.get(imageId) ?? '';
    const caption = escapeHtml(`${name}: ${missed} missed, ${wrong} wrong`);
    const drawing = await renderBoxes(join(images, name), asDetections(page, imageId), pageMaxPixels, thumbnailPx).catch(() => undefined);
    const data = drawing && (await drawing.toBuffer()).toString('base64');
    const shown = data === undefined ? '' : `<img alt="${caption}" src="data:image/jpeg;base64,${data}">`;
    figures.push(`<figure>${shown}<figcaption>${caption}</figcaption></figure>`);
  }
  const text = 'Those with the most objects missed and detections wrong.';
  return [{ title: 'Worst pictures', text, html: `<div class="sheet">${figures.join('\n')}</div>` }];
}

export async function evaluationPage(page: EvaluationPage): Promise<string> {
  const { stats, warnings } = page.evaluation;
  const numbers = Object.entries(stats).map(([name, value]: [string, number]) => [name, shownNumber(value)]);
  const notes = warnings.length === 0 ? '' : `<ul>${warnings.map((warning) => `<li>${escapeHtml(warning)}</li>`).join('')}</ul>`;
  return htmlPage('CornerNet evaluation', page.subject, [
    { title: 'Average precision and recall', html: htmlTable(['', 'value'], numbers) + notes },
    curves(page),
    classes(page),
    matrix(page),
    ...(await worst(page)),
  ]);
}
