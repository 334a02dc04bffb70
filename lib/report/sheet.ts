// Small pictures side by side, each with a caption.
import type { Sharp } from 'sharp';

import { sentenceOf } from '../errors.js';
import type { ImageSource } from '../images/source.js';
import { renderBoxes, type LabelledBox } from '../render/boxes.js';
import { escapeHtml, type Section } from './page.js';

/** The longer side; on the page it is somewhat smaller. */
const sidePx = 400;
/** Pixels of a picture that a sheet still opens; the detector has had its own limit. */
const maxPixels = 100_000_000;
/** Boxes that are drawn of a picture, the first ones: of more nobody sees any. */
const maxBoxes = 500;

export interface Thumbnail {
  readonly caption: string;
  /** Absent where there is nothing to show. */
  readonly draw?: () => Promise<Sharp>;
}

/** A picture of a sheet with its boxes. */
export function drawSmall(source: ImageSource, boxes: readonly LabelledBox[]): Promise<Sharp> {
  return renderBoxes(source, boxes.slice(0, maxBoxes), { maxPixels, sidePx });
}

async function figure({ caption, draw }: Thumbnail): Promise<string> {
  const words = (text: string): string => `<figcaption>${escapeHtml(text)}</figcaption></figure>`;
  if (!draw) return `<figure>${words(caption)}`;
  try {
    const data = (await (await draw()).toBuffer()).toString('base64');
    return `<figure><img alt="${escapeHtml(caption)}" src="data:image/jpeg;base64,${data}">${words(caption)}`;
  } catch (error) {
    return `<figure>${words(`${caption} (it can't be shown: ${sentenceOf(error)})`)}`;
  }
}

/** No section where there are no pictures. One picture at a time is held in memory. */
export async function sheet(title: string, text: string, thumbnails: readonly Thumbnail[], key = ''): Promise<Section[]> {
  const figures: string[] = [];
  for (const one of thumbnails) figures.push(await figure(one));
  return figures.length === 0 ? [] : [{ title, text, html: `${key}<div class="sheet">${figures.join('\n')}</div>` }];
}
