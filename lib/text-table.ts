// Tables for people, on a terminal or in a text file.
import Table from 'cli-table3';

import { plain } from './terminal.js';

/** Text, or text over several columns. */
export type TableCell = string | { readonly colSpan: number; readonly content: string };

/** `compact`: without lines between the rows. */
export function textTable(head: readonly string[], rows: readonly (readonly TableCell[])[], compact = false): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact } });
  const shown = (cell: TableCell): TableCell => (typeof cell === 'string' ? plain(cell) : { ...cell, content: plain(cell.content) });
  for (const row of rows) table.push(row.map(shown));
  return table.toString();
}
