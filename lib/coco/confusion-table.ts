// The confusion matrix as a coloured table, and the mistakes that are made most.
import { escapeHtml, htmlTable, type Section } from '../report/page.js';
import { mostOfAPicture, type Confusion } from './confusion.js';

/** Beyond so many classes a window has no room: those with the most mistakes are shown. */
const mostClasses = 80;
/** Beyond so many, cells have room for per cent only. */
const roomyClasses = 20;
const mostMistakes = 20;

type Colour = readonly [red: number, green: number, blue: number];
const right: Colour = [20, 84, 160];
const wrong: Colour = [176, 38, 20];

/** As WCAG defines it, 0 to 1. */
function luminance(colour: Colour): number {
  const [red, green, blue] = colour.map((level) => (level <= 10 ? level / 3294.6 : ((level / 255 + 0.055) / 1.055) ** 2.4)) as [number, number, number]; // prettier-ignore
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** From white to the colour by the share's root, so that few are seen too; letters in black or white, whichever is read better. */
function shade(share: number, [red, green, blue]: Colour): string {
  const mixed = [red, green, blue].map((level) => Math.round(255 + (level - 255) * Math.sqrt(share))) as unknown as Colour;
  const letters = luminance(mixed) > 0.179 ? '000' : 'fff';
  return `background:#${mixed.map((level) => level.toString(16).padStart(2, '0')).join('')};color:#${letters}`;
}

/** Whole per cents; what is less is still not nothing. */
function percent(share: number): string {
  return share < 0.005 ? '<1' : (100 * share).toFixed(0);
}

interface Cell {
  readonly is: number;
  readonly seen: number;
  readonly count: number;
  /** Of all that are this. */
  readonly share: number;
}

/** Row by row. */
function cellsOf({ counts }: Confusion): Cell[] {
  return counts.flatMap((row, is) => {
    const total = [...row.values()].reduce((sum, count) => sum + count, 0);
    return [...row].sort(([a], [b]) => a - b).map(([seen, count]) => ({ is, seen, count, share: count / total }));
  });
}

function matrix(cells: readonly Cell[], kept: readonly number[], nameOf: (index: number) => string, isRoomy: boolean): string {
  const byPlace = new Map(cells.map((cell) => [`${cell.is} ${cell.seen}`, cell]));
  const cell = (one: Cell | undefined): string => {
    if (!one) return '<td></td>';
    const { is, seen, count, share } = one;
    const title = escapeHtml(`${nameOf(is)} taken for ${nameOf(seen)}: ${count}, ${percent(share)}%`);
    const text = isRoomy ? String(count) : percent(share);
    const small = !isRoomy && text.length > 2 ? `<small>${text}</small>` : escapeHtml(text);
    return `<td title="${title}" style="${shade(share, is === seen ? right : wrong)}">${small}</td>`;
  };
  const heading = (index: number): string => `<th title="${escapeHtml(nameOf(index))}"><span>${escapeHtml(nameOf(index))}</span></th>`;
  const rows = kept.map((is) => `<tr>${heading(is)}${kept.map((seen) => cell(byPlace.get(`${is} ${seen}`))).join('')}</tr>`);
  const head = kept.map(heading).join('');
  return `<div class="scroll"><table class="matrix${isRoomy ? '' : ' dense'}"><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

function listOf(mistakes: readonly Cell[], nameOf: (index: number) => string): string {
  const most = [...mistakes].sort((a, b) => b.count - a.count).slice(0, mostMistakes);
  const rows = most.map(({ is, seen, count, share }) => [nameOf(is), nameOf(seen), count, `${percent(share)}%`]);
  const head = ['what it is', 'taken for', 'count', 'of all such'];
  return rows.length === 0 ? '' : `<div><h3>Most frequent mistakes</h3>${htmlTable({ head, rows })}</div>`;
}

export function confusionSection(confusion: Confusion, scoreThreshold: number): Section {
  const { names } = confusion;
  const nothing = names.length;
  const nameOf = (index: number): string => names[index] ?? 'nothing';
  const cells = cellsOf(confusion);
  const mistakes = cells.filter(({ is, seen }) => is !== seen);
  const mistakesOf = names.map(() => 0);
  for (const { is, count } of mistakes) mistakesOf[is] = (mistakesOf[is] ?? 0) + count;
  const most = names.map((_, i) => i).sort((a, b) => (mistakesOf[b] ?? 0) - (mistakesOf[a] ?? 0)).slice(0, mostClasses); // prettier-ignore
  const kept = most.sort((a, b) => a - b);
  const isRoomy = kept.length <= roomyClasses;
  const some = nothing > kept.length ? ` The ${kept.length} of ${nothing} classes with the most mistakes.` : '';
  const text =
    `${isRoomy ? 'Counts' : 'Per cent of the row'}, coloured by share of the row. Rows: what it is. Columns: what it was taken for. ` +
    `Detections of at least ${scoreThreshold}, the ${mostOfAPicture} surest of a picture, overlap of at least 0.5; crowds and what lies in them are left out.${some}`;
  const html = `<div class="beside">${matrix(cells, [...kept, nothing], nameOf, isRoomy)}${listOf(mistakes, nameOf)}</div>`;
  return { title: 'What was taken for what', text, html };
}
