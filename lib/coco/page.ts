// The evaluation as a page: the numbers, precision over recall, what was taken for what, and the worst pictures.
import { CornerNetError } from '../errors.js';
import type { LabelledBox } from '../render/boxes.js';
import { chart } from '../report/chart.js';
import { escapeHtml, htmlPage, htmlTable, type Section } from '../report/page.js';
import { drawSmall, sheet, type Thumbnail } from '../report/sheet.js';
import { confuse, isMistake, type PictureMistakes } from './confusion.js';
import { confusionSection } from './confusion-table.js';
import type { CocoAnnotations, CocoBox, CocoDetection } from './dataset.js';
import { shownNumber, type CocoEvaluation } from './evaluate.js';
import { overlaps } from './matching.js';
import { pictureBelow } from './pictures.js';

const worstPictures = 12;
/** Classes in a table; the next ones are beside it. */
const tableLength = 20;

export interface EvaluationPage {
  /** In words: what was evaluated. */
  readonly subject: string;
  readonly annotations: CocoAnnotations;
  readonly detections: readonly CocoDetection[];
  readonly evaluation: CocoEvaluation;
  /** Of confusion and drawings. */
  readonly scoreThreshold: number;
  /** Folder of the pictures; without it none is drawn. */
  readonly images?: string | undefined;
}

function curves({ evaluation }: EvaluationPage): Section {
  const series = [0, 5, 9].map((level) => ({
    name: `overlap ${(overlaps[level] ?? 0).toFixed(2)}`,
    mark: 'line' as const,
    points: (evaluation.precision[level] ?? []).map((y, i) => ({ x: i / 100, y })),
  }));
  const [x, y] = [
    { name: 'recall', holds: [1] },
    { name: 'precision', holds: [1] },
  ];
  return {
    title: 'Precision over recall',
    text: 'Mean over the classes, all areas, at most 100 detections of a class in a picture.',
    html: evaluation.stats.AP < 0 ? '<p>No object counts.</p>' : chart({ label: 'Precision over recall at three overlaps', x, y, series }),
  };
}

function classes({ annotations, evaluation }: EvaluationPage): Section {
  const rows = [...annotations.categories]
    .sort((a, b) => a.id - b.id)
    .map(({ id, name }) => [name, id, shownNumber(evaluation.perClassAP[String(id)] ?? -1)]);
  const tables = rows.flatMap((_, i) =>
    i % tableLength === 0 ? htmlTable({ head: ['class', 'id', 'AP'], rows: rows.slice(i, i + tableLength) }) : [],
  );
  return { title: 'Classes', html: `<div class="beside">${tables.join('')}</div>` };
}

/** Colours that differ for all kinds of eyes. */
const kinds = {
  right: { colour: '#1d5fbf', words: 'right' },
  wrong: { colour: '#c2410c', words: 'wrong: nothing is there, or another class' },
  missed: { colour: '#7a1fa2', dashed: true, words: 'missed, or taken for another class: what is there' },
} as const;

const key = `<ul class="key">${Object.values(kinds)
  .map((kind) => {
    const line = (stroke: string, dash: string): string =>
      `<rect x="2" y="2" width="18" height="10" fill="none" stroke="${stroke}" stroke-width="3"${dash}/>`;
    const swatch = line(kind.colour, 'dashed' in kind ? ' stroke-dasharray="5"' : '');
    return `<li><svg width="22" height="14">${swatch}</svg> ${kind.words}</li>`;
  })
  .join('')}</ul>`;

/** What was missed on top, then what was found wrong. */
function boxesOf(pairs: PictureMistakes['pairs'], names: ReadonlyMap<number, string>): LabelledBox[] {
  const box = ([x, y, width, height]: CocoBox): LabelledBox['box'] => [x, y, x + width, y + height];
  const nameOf = (id: number): string => names.get(id) ?? String(id);
  const found = (some: PictureMistakes['pairs'], kind: 'right' | 'wrong'): LabelledBox[] =>
    some.flatMap((one) => one.found ?? []).map(({ bbox, score, category_id }) => ({ ...kinds[kind], box: box(bbox), text: `${nameOf(category_id)} ${score.toFixed(2)}` })); // prettier-ignore
  const mistakes = pairs.filter(isMistake);
  const missed = mistakes.flatMap(({ object }) => object ?? []);
  return [
    ...missed.map(({ bbox, category_id }) => ({ ...kinds.missed, box: box(bbox), text: `${nameOf(category_id)} missed` })),
    ...found(mistakes, 'wrong'),
    ...found(pairs.filter((one) => !isMistake(one)), 'right'), // prettier-ignore
  ];
}

async function worst({ images, annotations }: EvaluationPage, mistakes: readonly PictureMistakes[]): Promise<Section[]> {
  if (images === undefined) return [];
  const files = new Map(annotations.images.map(({ id, file_name }) => [id, file_name]));
  const names = new Map(annotations.categories.map(({ id, name }) => [id, name]));
  const thumbnails = mistakes.slice(0, worstPictures).map(({ imageId, missed, wrong, pairs }): Thumbnail => {
    const file = files.get(imageId) ?? '';
    return {
      caption: `${file}: ${missed} missed, ${wrong} wrong`,
      draw: async () => {
        const path = await pictureBelow(images, { id: imageId, file_name: file });
        if (path === undefined) throw new CornerNetError('ERR_INPUT', `it is not in ${images}`);
        return drawSmall(path, boxesOf(pairs, names));
      },
    };
  });
  return sheet('Worst pictures', 'Those with the most objects missed and detections wrong.', thumbnails, key);
}

export async function evaluationPage(page: EvaluationPage): Promise<string> {
  const { stats, warnings } = page.evaluation;
  const confusion = confuse(page.annotations, page.detections, page.scoreThreshold);
  const numbers = Object.entries(stats).map(([name, value]: [string, number]) => [name, shownNumber(value)]);
  const notes = warnings.length === 0 ? '' : `<ul>${warnings.map((warning) => `<li>${escapeHtml(warning)}</li>`).join('')}</ul>`;
  return htmlPage('CornerNet evaluation', page.subject, [
    { title: 'Average precision and recall', html: htmlTable({ head: ['', 'value'], rows: numbers }) + notes },
    curves(page),
    classes(page),
    confusionSection(confusion, page.scoreThreshold),
    ...(await worst(page, confusion.pictures)),
  ]);
}
