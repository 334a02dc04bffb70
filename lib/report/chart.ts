// Plots as SVG, with their keys as text above them: the axes hold every value, and what can't be drawn is said.
import { scaleBand, scaleLinear, scaleLog } from 'd3-scale';
import { line, symbol, symbolTimes } from 'd3-shape';

import { escapeHtml } from './page.js';

export interface Point {
  readonly x: number;
  /** A value, or a row's number from 0. */
  readonly y: number;
  /** Where a bar begins. Default 0. */
  readonly from?: number;
  /** Written behind a bar. */
  readonly text?: string;
  /** What it is, for who points at it. */
  readonly title?: string;
  /** Why it is to be doubted: it gets a cross. */
  readonly remark?: string;
}

export interface PlotSeries {
  readonly name: string;
  readonly mark: 'line' | 'dots' | 'line and dots' | 'bars';
  readonly points: readonly Point[];
}

export interface Axis {
  readonly name: string;
  /** Default linear, from 0. */
  readonly scale?: 'log';
  /** Values that it reaches whatever is drawn. */
  readonly holds?: readonly number[];
  /** Where its only ticks are. */
  readonly ticks?: readonly number[];
  /** Where a stronger line crosses the plot. */
  readonly rule?: number;
}

export interface Chart {
  /** In words: what it shows. */
  readonly label: string;
  readonly x: Axis;
  /** An axis of values, or rows from the top. */
  readonly y: Axis | { readonly rows: readonly string[] };
  readonly series: readonly PlotSeries[];
}

/** Maps values to pixels. */
interface Scale {
  readonly at: (value: number) => number;
  readonly has: (value: number) => boolean;
  readonly ticks: readonly (readonly [value: number, label: string])[];
}

const palette = ['#4269d0', '#efb118', '#ff725c', '#6cc5b0', '#3ca951', '#ff8ab7', '#a463f2', '#97bbf5', '#9c6b4e', '#9498a0'];
const dashes = ['none', '7 3', '2 3'];
const [width, plotHeight, rowHeight, top, right, bottom] = [1000, 320, 19, 10, 60, 50];
/** More than the widest letters of 13 px take on average: labels are never measured. */
const letterPx = 7.8;
/** Letters of a row's label at most. */
const longestLabel = 64;
const undrawnShown = 10;

const round = (px: number): number => Math.round(10 * px) / 10;

function rowScale(rows: readonly string[], end: number): Scale & { thickness: number } {
  const band = scaleBand(rows.keys(), [top, end]).padding(0.2);
  const thickness = band.bandwidth();
  return {
    at: (row) => round((band(row) ?? NaN) + thickness / 2),
    has: (row) => rows[row] !== undefined,
    ticks: rows.map((label, row) => [row, label.length > longestLabel ? `${label.slice(0, longestLabel - 1)}…` : label]),
    thickness,
  };
}

function valueScale(axis: Axis, values: Iterable<number>, range: readonly [number, number]): Scale {
  const isLog = axis.scale === 'log';
  const has = (value: number): boolean => Number.isFinite(value) && (!isLog || value > 0);
  let [least, most] = isLog ? [Infinity, 0] : [0, 0];
  const given = [...(axis.holds ?? []), ...(axis.ticks ?? []), ...(axis.rule === undefined ? [] : [axis.rule])];
  for (const some of [values, given]) {
    for (const value of some) {
      if (!has(value)) continue;
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
  }
  const scale = isLog
    ? scaleLog(most > 0 ? [least / 1.1, most * 1.1] : [1, 10], range)
    : scaleLinear([least, most > least ? most : 1], range).nice();
  const label = axis.ticks ? String : scale.tickFormat(8, isLog ? ',' : ',f');
  const ticks = (axis.ticks ?? scale.ticks(8)).map((value) => [value, label(value)] as const);
  return { at: (value) => round(scale(value)), has, ticks: ticks.filter(([, text]) => text !== '') };
}

/** Without the labels that would touch the one before. */
function thinned(ticks: Scale['ticks'], at: Scale['at'], roomOf: (label: string) => number): Scale['ticks'] {
  const kept: [number, string][] = [];
  for (const [value, label] of ticks) {
    const last = kept.at(-1);
    if (!last || Math.abs(at(value) - at(last[0])) >= (roomOf(label) + roomOf(last[1])) / 2) kept.push([value, label]);
  }
  return kept;
}

function stroke(index: number): string {
  return `stroke="${palette[index % palette.length] ?? ''}" stroke-dasharray="${dashes[Math.floor(index / palette.length) % dashes.length] ?? ''}"`;
}

function fill(index: number): string {
  return `fill="${palette[index % palette.length] ?? ''}"`;
}

function key(series: readonly PlotSeries[], hasRemarks: boolean): string {
  const swatch = ({ mark }: PlotSeries, i: number): string =>
    (mark === 'bars' ? `<rect y="1" width="22" height="10" ${fill(i)}/>` : '') +
    (mark.startsWith('line') ? `<path d="M0 6H22" fill="none" stroke-width="2" ${stroke(i)}/>` : '') +
    (mark.endsWith('dots') ? `<circle cx="11" cy="6" r="4" ${fill(i)}/>` : '');
  const entries = series.map((one, i) => `<li><svg width="22" height="12">${swatch(one, i)}</svg> ${escapeHtml(one.name)}</li>`);
  if (hasRemarks) entries.push('<li class="remark">✕ to be doubted: point at it for the reason</li>');
  return entries.length > 1 ? `<ul class="key">${entries.join('')}</ul>` : '';
}

/** Ticks, their labels and lines, the axes' names. */
function frame({ x, y }: Pick<Chart, 'x' | 'y'>, across: Scale, up: Scale, left: number, height: number): string {
  const [end, side] = [height - bottom, width - right];
  const vertical = (value: number, kind: string): string => `<path class="${kind}" d="M${across.at(value)} ${top}V${end}"/>`;
  const horizontal = (value: number, kind: string): string => `<path class="${kind}" d="M${left} ${up.at(value)}H${side}"/>`;
  const parts = [
    ...thinned(across.ticks, across.at, (label) => letterPx * (label.length + 1)).map(
      ([value, label]) => `${vertical(value, 'grid')}<text class="x" x="${across.at(value)}" y="${end + 20}">${label}</text>`,
    ),
    ...thinned(up.ticks, up.at, () => 17).map(
      ([value, label]) => `${horizontal(value, 'grid')}<text class="y" x="${left - 8}" y="${up.at(value) + 4}">${escapeHtml(label)}</text>`,
    ),
    `<text class="x" x="${(left + side) / 2}" y="${height - 6}">${escapeHtml(x.name)}</text>`,
    x.rule === undefined ? '' : vertical(x.rule, 'rule'),
  ];
  if ('name' in y) parts.push(`<text class="x" transform="translate(14 ${(top + end) / 2}) rotate(-90)">${escapeHtml(y.name)}</text>`);
  return parts.join('');
}

function titled(tag: string, { name }: PlotSeries, { title, remark }: Point): string {
  const words = [title ?? name, ...(remark === undefined ? [] : [remark])].join(': ');
  return `<${tag}><title>${escapeHtml(words)}</title></${tag.split(' ')[0] ?? ''}>`;
}

function hasPlace({ x, y, from = 0 }: Point, across: Scale, up: Scale): boolean {
  return across.has(x) && up.has(y) && (from === 0 || across.has(from));
}

const cross = symbol(symbolTimes, 80)() ?? '';

function drawn(series: PlotSeries, index: number, across: Scale, up: Scale & { thickness?: number }): string {
  const { mark, points } = series;
  const parts: string[] = [];
  if (mark.startsWith('line')) {
    const path = line<Point>(
      ({ x }) => across.at(x),
      ({ y }) => up.at(y),
    ).defined((point) => hasPlace(point, across, up));
    parts.push(`<path class="line" d="${path(points) ?? ''}" ${stroke(index)}/>`);
  }
  for (const point of points.filter((one) => hasPlace(one, across, up))) {
    const [x, y, thickness] = [across.at(point.x), up.at(point.y), up.thickness ?? 0];
    if (mark === 'bars') {
      const from = across.at(point.from ?? 0);
      const bar = `rect x="${Math.min(from, x)}" y="${y - thickness / 2}" width="${point.x === (point.from ?? 0) ? 0 : Math.max(1, Math.abs(x - from))}" height="${thickness}" ${fill(index)}`;
      parts.push(titled(bar, series, point));
      if (point.text !== undefined) parts.push(`<text x="${x + 6}" y="${y + 4}">${escapeHtml(point.text)}</text>`);
    }
    if (mark.endsWith('dots')) parts.push(titled(`circle cx="${x}" cy="${y}" r="4" fill-opacity="0.85" ${fill(index)}`, series, point));
    if (point.remark !== undefined) parts.push(titled(`path class="cross" transform="translate(${x} ${y})" d="${cross}"`, series, point));
  }
  return parts.join('');
}

/** A sentence on the values that have no place on the axes. */
function undrawn(series: readonly PlotSeries[], across: Scale, up: Scale): string {
  const left = series.flatMap(({ name, points }) =>
    points.filter((point) => !hasPlace(point, across, up)).map(({ x, y, title }) => `${title ?? name} (${x}, ${y})`),
  );
  const more = left.length > undrawnShown ? ` and ${left.length - undrawnShown} more` : '';
  return left.length === 0 ? '' : `<p class="remark">Can't be drawn: ${escapeHtml(left.slice(0, undrawnShown).join('; '))}${more}</p>`;
}

/** A plot with its key. */
export function chart({ label, x, y, series }: Chart): string {
  const points = series.flatMap((one) => one.points);
  const height = top + bottom + ('rows' in y ? rowHeight * y.rows.length : plotHeight);
  const values = points.map((point) => point.y);
  const up = 'rows' in y ? rowScale(y.rows, height - bottom) : valueScale(y, values, [height - bottom, top]);
  const longest = up.ticks.reduce((most, [, text]) => Math.max(most, text.length), 0);
  const left = ('name' in y ? 32 : 8) + letterPx * longest;
  const reached = points.flatMap((point) => [point.x, ...(point.from === undefined ? [] : [point.from])]);
  const across = valueScale(x, reached, [left, width - right]);
  const body = frame({ x, y }, across, up, left, height) + series.map((one, i) => drawn(one, i, across, up)).join('');
  const svg = `<svg class="plot" role="img" aria-label="${escapeHtml(label)}" viewBox="0 0 ${width} ${height}">${body}</svg>`;
  const hasRemarks = points.some(({ remark }) => remark !== undefined);
  return `<figure>${key(series, hasRemarks)}${svg}${undrawn(series, across, up)}</figure>`;
}

/** A bar a row, with its value behind it. */
export function barChart(label: string, unit: string, bars: readonly (readonly [name: string, value: number, text: string])[]): string {
  const points = bars.map(([name, value, text], row): Point => ({ x: value, y: row, text, title: name }));
  return chart({ label, x: { name: unit }, y: { rows: bars.map(([name]) => name) }, series: [{ name: unit, mark: 'bars', points }] });
}
