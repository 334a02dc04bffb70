// The benchmark's page: tables and plots in one file.
import { htmlPage, htmlTable, writePage } from '../report/page.js';
import type { Report } from './schema.js';
import { describeReport, resultTable } from './tables.js';

export async function writeReportPage(file: string, report: Report): Promise<void> {
  const { head, rows } = resultTable(report);
  await writePage(
    file,
    htmlPage(`cornernet bench ${report.kind}`, describeReport(report).join(' '), [{ title: 'Results', html: htmlTable(head, rows) }]),
  );
}
