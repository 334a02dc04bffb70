// A table for people: a row a detection.
import Table from 'cli-table3';

import type { ResultFormat } from './writer.js';

export function tableFormat(): ResultFormat {
  const table = new Table({
    head: ['picture', 'object', 'score', 'x1', 'y1', 'x2', 'y2'],
    style: { head: [], border: [], compact: true },
  });
  const rows = (result: Parameters<ResultFormat['of']>[0]): (string | { colSpan: number; content: string })[][] => {
    const instead = (content: string): { colSpan: number; content: string }[] => [{ colSpan: 6, content }];
    if ('error' in result) return [instead(`${result.error.code}: ${result.error.message}`)];
    if (result.detections.length === 0) return [instead('nothing found')];
    return result.detections.map(({ label, score, box }) => [label, score.toFixed(2), ...box.map((side) => side.toFixed(1))]);
  };
  return {
    of: (result) => {
      for (const row of rows(result)) table.push([result.image ?? '', ...row]);
      return '';
    },
    tail: () => `${table.toString()}\n`,
  };
}
