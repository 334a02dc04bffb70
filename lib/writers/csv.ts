// A row a detection, with a head: image, class_id, label, score, x1, y1, x2, y2. Pictures without any have no row.
import { stringify } from 'csv-stringify/sync';

import type { TextOutput } from '../output-file.js';
import type { ResultWriter } from './writer.js';

const head = ['image', 'class_id', 'label', 'score', 'x1', 'y1', 'x2', 'y2'];

export function csvWriter(output: TextOutput): ResultWriter {
  let begun = false;
  const begin = async (): Promise<void> => {
    if (begun) return;
    begun = true;
    await output.write(stringify([head]));
  };
  return {
    write: async (result) => {
      await begin();
      if ('error' in result || result.detections.length === 0) return;
      const rows = result.detections.map(({ classId, label, score, box }) => [result.image ?? '', classId, label, score, ...box]);
      await output.write(stringify(rows));
    },
    end: async () => {
      await begin();
      await output.commit();
    },
    discard: () => output.discard(),
  };
}
