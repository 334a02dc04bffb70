// One self-contained HTML page: no script, no font, no picture from elsewhere, so that it reads the same offline and years later.
import { init, type EChartsOption } from 'echarts';

/** A part of a page under a heading of its own. */
export interface Section {
  readonly title: string;
  /** A sentence or two below the heading. */
  readonly text?: string;
  /** Made by chart(), htmlTable() or by hand from escaped text. */
  readonly html: string;
}

const style = `
  body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d8dfe6; }
  p { margin: .4rem 0; } .summary { color: #52606d; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
  th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #e4e9ee; } td.number, th.number { text-align: right; }
  svg { max-width: 100%; height: auto; } figure { margin: .6rem 0; }
  .sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: .8rem; }
  .sheet figure { margin: 0; } .sheet img { width: 100%; } figcaption { font-size: .85rem; overflow-wrap: anywhere; }
`;

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** A plot as SVG; `label` says in words what it shows. */
export function chart(option: EChartsOption, label: string, { width = 1040, height = 380 } = {}): string {
  const plot = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    plot.setOption({ animation: false, ...option });
    return `<figure role="img" aria-label="${escapeHtml(label)}">${plot.renderToSVGString()}</figure>`;
  } finally {
    plot.dispose();
  }
}

/** Cells are escaped; numbers are shown as they are given, to the right. */
export function htmlTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const numeric = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  const cell = (tag: string, text: string | number, column: number): string =>
    `<${tag}${numeric[column] === true ? ' class="number"' : ''}>${escapeHtml(String(text))}</${tag}>`;
  const line = (tag: string, cells: readonly (string | number)[]): string =>
    `<tr>${cells.map((text, i) => cell(tag, text, i)).join('')}</tr>`;
  return `<div class="scroll"><table><thead>${line('th', head)}</thead><tbody>${rows.map((row) => line('td', row)).join('\n')}</tbody></table></div>`;
}

/** The whole page; `summary` is one sentence below the title. */
export function htmlPage(title: string, summary: string, sections: readonly Section[]): string {
  const parts = sections.map(
    (section) =>
      `<section><h2>${escapeHtml(section.title)}</h2>${section.text === undefined ? '' : `<p>${escapeHtml(section.text)}</p>`}\n${section.html}</section>`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="summary">${escapeHtml(summary)}</p>
${parts.join('\n')}
</body>
</html>
`;
}
