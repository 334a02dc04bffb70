// One JSON object a line, one line a picture.
import type { TextOutput } from '../output-file.js';
import { toRecord, type ResultWriter } from './writer.js';

export function jsonlWriter(output: TextOutput): ResultWriter {
  return {
    write: (result) => output.write(`${JSON.stringify(toRecord(result))}\n`),
    end: () => output.commit(),
    discard: () => output.discard(),
  };
}
