// A row a detection, with a head: image, class_id, label, score, x1, y1, x2, y2. Pictures without any have no row.
import { stringify } from 'csv-stringify/sync';

import { textOf, type Outcomes, type ResultFormat } from './writer.js';

/** What a spreadsheet would compute is text: it begins with an apostrophe then. A dash alone is standard input's name. */
function inert(text: string): string {
  return /^(?!-$)[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
}

export const csvFormat: ResultFormat = {
  head: 'image,class_id,label,score,x1,y1,x2,y2\n',
  omitsFailures: true,
  of: (result) =>
    'error' in result
      ? ''
      : stringify(
          result.detections.map(({ classId, label, score, box }) => [inert(result.image ?? ''), classId, inert(label), score, ...box]),
        ),
};

/**
 * Results as CSV (RFC 4180 with line feeds), a row a detection below the head `image,class_id,label,score,x1,y1,x2,y2`, boxes in pixels.
 * Pictures in which nothing was found, or that failed, have no row. Names that a spreadsheet would take for a formula begin with an apostrophe.
 * @returns the text in pieces.
 *
 * @example
 * ```ts
 * await writeFile('results.csv', toCsv(detector.detectAll(paths)));
 * ```
 */
export function toCsv(results: Outcomes): AsyncGenerator<string, void> {
  return textOf(results, csvFormat);
}
