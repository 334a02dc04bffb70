// One JSON object a line, one line a picture.
import { recordOf, textOf, type Outcomes, type ResultFormat } from './writer.js';

/** What JSON leaves as it is and a terminal, or a reader of lines, takes for a command. */
const hidden = /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

export const jsonlFormat: ResultFormat = {
  of: (result) => {
    const line = JSON.stringify('error' in result ? { image: result.image, error: recordOf(result.error) } : result);
    return `${line.replace(hidden, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
  },
};

/**
 * Results as JSON lines, as `cornernet detect` writes them: an object a picture, `{ image, width, height, detections }` or
 * `{ image, error: { code, message } }`.
 * @returns the text in pieces.
 *
 * @example
 * ```ts
 * await writeFile('results.jsonl', toJsonLines(detector.detectAll(paths)));
 * ```
 */
export function toJsonLines(results: Outcomes): AsyncGenerator<string, void> {
  return textOf(results, jsonlFormat);
}
