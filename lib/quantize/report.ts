// A calibration's report as tables on a terminal and as a page.
import { htmlPage, htmlTable, type Section } from '../report/page.js';
import { textTable } from '../text-table.js';
import type { QuantizedLayer, QuantizeReport } from './types.js';

interface Table {
  readonly title: string;
  readonly text: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const percent = (part: number): string => `${(100 * part).toFixed(2)}%`;
const shownLayers = 20;

function trialTable({ trials }: QuantizeReport): Table {
  return {
    title: 'Ways that were tried',
    text: "The error is that of the heads' maps against fp32's, relative to the maps, the mean of the six.",
    head: ['way', 'error', ''],
    rows: trials.map(({ what, error, chosen }) => [what, percent(error), chosen ? 'best so far' : '']),
  };
}

function headTable({ heads }: QuantizeReport): Table {
  return {
    title: 'Heads',
    text: 'The relative error of each map that the network gives.',
    head: ['map', 'error'],
    rows: heads.map(({ name, error }) => [name, percent(error)]),
  };
}

function layerTable(title: string, layers: readonly QuantizedLayer[]): Table {
  return {
    title,
    text: 'Rounding: what 8 bits lose of the layer’s map. Error: of that map against fp32, with all layers before it. Share: of the network’s operations.',
    head: ['layer', 'operator', 'computes in', 'its map', 'rounding', 'error', 'share'],
    rows: layers.map(({ name, op, int8, scale, rounding, error, share }) => [
      ...[name, op, int8 ? '8 bits' : '16 bits', scale > 0 ? `8 bits of ${scale.toPrecision(3)}` : 'wide'],
      ...[scale > 0 ? percent(rounding) : '', percent(error), percent(share)],
    ]),
  };
}

/** In one sentence. */
export function summaryOf({ pictures, failed, int8Share, agreement }: QuantizeReport): string {
  const { detections, found, overlap, scoreDifference } = agreement;
  const unread = failed.length === 0 ? '' : `, ${failed.length} could not be read`;
  const share = `${percent(int8Share)} of the operations are in 8 bits`;
  const same =
    detections === 0
      ? `fp32 detects nothing in ${agreement.pictures} pictures, so that there is nothing to compare`
      : `of fp32's ${detections} detections in ${agreement.pictures} pictures int8 has ${percent(found)}, overlapping by ${percent(overlap)}, scores apart by ${scoreDifference.toFixed(4)}`;
  return `${pictures} pictures${unread}; ${share}; ${same}.`;
}

export function quantizeText(report: QuantizeReport): string {
  const worst = [...report.layers].sort((a, b) => b.rounding - a.rounding).slice(0, shownLayers);
  const tables = [trialTable(report), headTable(report), layerTable(`The ${worst.length} layers whose rounding loses most`, worst)];
  return `${tables.map(({ title, head, rows }) => `${title}\n${textTable(head, rows)}`).join('\n\n')}\n\n${summaryOf(report)}\n`;
}

export function quantizePage(report: QuantizeReport): string {
  const section = ({ title, text, head, rows }: Table): Section => ({ title, text, html: htmlTable({ head, rows }) });
  const failed = report.failed.map(({ image, reason }) => [image, reason]);
  return htmlPage('CornerNet calibration', `${report.weights}: ${summaryOf(report)}`, [
    section(trialTable(report)),
    section(headTable(report)),
    section(layerTable('Layers', report.layers)),
    ...(failed.length === 0
      ? []
      : [{ title: 'Left out', text: 'Pictures that could not be read.', html: htmlTable({ head: ['picture', 'why'], rows: failed }) }]),
  ]);
}
