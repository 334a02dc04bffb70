// One self-contained HTML page: no script, no font, no picture from elsewhere, so that it reads the same offline and years later.

/** A part of a page under a heading of its own. */
export interface Section {
  readonly title: string;
  /** A sentence or two below the heading. */
  readonly text?: string;
  /** Made by chart(), htmlTable() or by hand from escaped text. */
  readonly html: string;
}

// Wide enough for the widest table in a window of 1,400 pixels.
const style = `
  body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 1340px; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d8dfe6; }
  p { margin: .4rem 0; max-width: 1000px; } .summary { color: #52606d; } .remark { color: #b3261e; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
  th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #e4e9ee; } td.number, th.number { text-align: right; }
  figure { margin: .6rem 0; } .beside { display: flex; flex-wrap: wrap; gap: 0 3rem; } .beside > * { max-width: 100%; }
  .key { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; max-width: 1000px; margin: 0; padding: 0; list-style: none; font-size: .85rem; }
  .plot { display: block; width: 100%; max-width: 1000px; } .plot text { font-size: 13px; fill: #3b4754; }
  .plot text.x { text-anchor: middle; } .plot text.y { text-anchor: end; } .plot .grid { stroke: #e4e9ee; } .plot .rule { stroke: #52606d; stroke-width: 1.5; }
  .plot .line { fill: none; stroke-width: 2; } .plot .cross { stroke: #b3261e; stroke-width: 2.5; }
  .matrix td, .matrix tbody th { padding: .1rem .3rem; text-align: right; border: 1px solid #fff; min-width: 2rem; }
  .matrix tbody th { max-width: 14rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .matrix thead th { padding: .3rem 0; vertical-align: bottom; border: 0; } .matrix thead span { display: block; margin: auto; max-height: 14rem; overflow: hidden; writing-mode: vertical-rl; transform: rotate(180deg); }
  .matrix.dense td, .matrix.dense th { padding: 0; min-width: 14px; max-width: 14px; font-size: 9px; line-height: 14px; text-align: center; white-space: nowrap; }
  .matrix.dense tbody th { max-width: 88px; text-align: right; } .dense thead span { max-height: 100px; }
  .dense small { font-size: 7.5px; }
  .sheet { display: flex; flex-wrap: wrap; gap: .8rem; }
  .sheet figure { margin: 0; width: 310px; } .sheet img { display: block; max-width: 100%; max-height: 310px; }
  figcaption { font-size: .85rem; overflow-wrap: anywhere; }
`;

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

const isNumeric = (cell: string | number): boolean => typeof cell === 'number' || /^([±-]?[\d.]+[%x]?|-?)$/.test(cell);

/** Cells are escaped; columns of numbers are set to the right. */
export function htmlTable({ head, rows }: { head: readonly string[]; rows: readonly (readonly (string | number)[])[] }): string {
  const numeric = head.map((_, column) => rows.every((row) => isNumeric(row[column] ?? '')) && rows.some((row) => row[column] !== ''));
  const line = (tag: string, cells: readonly (string | number)[]): string =>
    `<tr>${cells.map((text, i) => `<${tag}${numeric[i] === true ? ' class="number"' : ''}>${escapeHtml(String(text))}</${tag}>`).join('')}</tr>`;
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
