// A measurement that fails half-way, whose figures until then are kept.
import type { Report } from './schema.js';

export class CutShort extends Error {
  /** @param cause What ended it. */
  constructor(
    readonly report: Report,
    cause: unknown,
  ) {
    super('a measurement failed half-way', { cause });
  }
}

/** The report, whose results `measure` adds. @throws {CutShort} for what `measure` throws once there are some. */
export async function filled<T extends Report>(report: T, measure: () => Promise<void>): Promise<T> {
  try {
    await measure();
  } catch (error) {
    throw report.results.length > 0 ? new CutShort(report, error) : error;
  }
  return report;
}
