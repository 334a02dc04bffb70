// Results into files of any format, or to standard output.
import { keptNames } from '../options/check.js';
import type { LoadOptions } from '../options/interfaces.js';
import { isFileOutput, openOutput } from '../output-file.js';
import { cocoFormat, cocoIds, cocoImagesFormat } from './coco.js';
import { csvFormat } from './csv.js';
import { jsonlFormat } from './jsonl.js';
import { resultWriter, type ResultFormat, type ResultWriter } from './writer.js';

export type Format = 'jsonl' | 'coco' | 'csv' | 'table';

/** Beside COCO results whose image ids are positions: which pictures these are. */
export function imagesFile(file: string): string {
  return `${file.replace(/\.json$/i, '')}.images.json`;
}

/** The files of results: these, and {@link imagesFile} where there is one. */
export async function resultFiles(format: Format, file: string | undefined, annotations: string | undefined): Promise<string[]> {
  if (file === undefined) return [];
  return format === 'coco' && annotations === undefined && (await isFileOutput(file)) ? [file, imagesFile(file)] : [file];
}

async function plainFormat(format: Exclude<Format, 'coco'>): Promise<ResultFormat> {
  if (format === 'table') return (await import('./table.js')).tableFormat();
  return format === 'csv' ? csvFormat : jsonlFormat;
}

interface Naming {
  /** Names by class id. */
  readonly classes: readonly string[];
  /** As a detector's option of this name. */
  readonly keep?: LoadOptions['classes'];
  /** A COCO annotation file whose ids are used. */
  readonly annotations?: string | undefined;
}

/**
 * @param file standard output without one, which COCO results without annotations must have.
 * @throws {CornerNetError} `ERR_INPUT` when the annotations can't be read or lack a class.
 */
export async function openResults(format: Format, file: string | undefined, { classes, keep, annotations }: Naming): Promise<ResultWriter> {
  if (format !== 'coco') return resultWriter([openOutput(file), await plainFormat(format)]);
  const ids = await cocoIds(classes, annotations, keptNames(keep, classes));
  const [results, images] = await resultFiles(format, file, annotations);
  const lists = images === undefined ? [] : ([[openOutput(images), cocoImagesFormat(ids)]] as const);
  return resultWriter([openOutput(results), cocoFormat(ids)], ...lists);
}
