// A table for people: a row a detection.
import { textTable, type TableCell } from '../text-table.js';
import type { Outcome, ResultFormat } from './writer.js';

const head = ['picture', 'object', 'score', 'x1', 'y1', 'x2', 'y2'];

function rowsOf(result: Outcome): TableCell[][] {
  const instead = (content: string): TableCell[][] => [[{ colSpan: head.length - 1, content }]];
  if ('error' in result) return instead(`${result.error.code}: ${result.error.message}`);
  if (result.detections.length === 0) return instead('nothing found');
  return result.detections.map(({ label, score, box }) => [label, score.toFixed(2), ...box.map((side) => side.toFixed(1))]);
}

export function tableFormat(): ResultFormat {
  const rows: TableCell[][] = [];
  return {
    of: (result) => {
      rows.push(...rowsOf(result).map((row) => [result.image ?? '', ...row]));
      return '';
    },
    tail: () => `${textTable(head, rows, true)}\n`,
  };
}
