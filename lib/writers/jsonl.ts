// One JSON object a line, one line a picture.
import { recordOf, textOf, type Outcomes, type ResultFormat } from './writer.js';

export const jsonlFormat: ResultFormat = {
  of: (result) => `${JSON.stringify('error' in result ? { image: result.image, error: recordOf(result.error) } : result)}\n`,
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
