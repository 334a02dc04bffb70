// A table for people: a row a detection.
import Table from 'cli-table3';

import type { TextOutput } from '../output-file.js';
import type { ResultWriter } from './writer.js';

export function tableWriter(output: TextOutput): ResultWriter {
  const table = new Table({
    head: ['picture', 'object', 'score', 'x1', 'y1', 'x2', 'y2'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  return {
    write: (result) => {
      const image = result.image ?? '';
      if ('error' in result) {
        table.push([image, { colSpan: 6, content: `${result.error.code}: ${result.error.message}` }]);
      } else if (result.detections.length === 0) {
        table.push([image, { colSpan: 6, content: 'nothing found' }]);
      }
      if ('detections' in result) {
        for (const { label, score, box } of result.detections)
          table.push([image, label, score.toFixed(2), ...box.map((side) => side.toFixed(1))]);
      }
      return Promise.resolve();
    },
    end: async () => {
      await output.write(`${table.toString()}\n`);
      await output.commit();
    },
    discard: () => output.discard(),
  };
}
