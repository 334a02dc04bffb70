// How far a job is and how fast it goes: for who waits, and over the whole job for its report.
import { join } from 'node:path';

import { z } from 'zod';

import { RecentRate } from '../recent-rate.js';
import { GrowingFile, readWhole } from './lines.js';
import type { BatchProgress } from './types.js';

const sampleSchema = z.object({
  /** Milliseconds since 1970. */
  time: z.number(),
  done: z.int(),
  failed: z.int(),
  /** Whether a run began here: no time passed since the line before. */
  start: z.boolean().optional(),
});

export type Sample = z.infer<typeof sampleSchema>;

const timelineFile = 'timeline.jsonl';
const sampleMs = 5_000;
const reportMs = 250;

export async function readTimeline(folder: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  await readWhole(join(folder, timelineFile), sampleSchema, (sample) => samples.push(sample) > 0, false);
  return samples;
}

export class Meter {
  readonly #timer: NodeJS.Timeout;
  readonly #recent = new RecentRate();
  #sampled: number;
  /** The first failure of a tick, which close() throws. */
  #trouble: Error | undefined;

  private constructor(
    private readonly timeline: GrowingFile,
    private readonly total: number,
    private done: number,
    private failed: number,
    private readonly report: ((progress: BatchProgress) => void) | undefined,
  ) {
    this.#sampled = performance.now();
    this.#recent.add(done + failed);
    this.#timer = setInterval(() => this.#tick(), reportMs);
  }

  static async open(
    folder: string,
    total: number,
    done: number,
    failed: number,
    report?: (progress: BatchProgress) => void,
  ): Promise<Meter> {
    const path = join(folder, timelineFile);
    const { bytes } = await readWhole(path, sampleSchema, () => true, true);
    const timeline = await GrowingFile.open(path, bytes);
    await timeline.append({ time: Date.now(), done, failed, start: true } satisfies Sample);
    return new Meter(timeline, total, done, failed, report);
  }

  update(done: number, failed: number): void {
    this.done = done;
    this.failed = failed;
  }

  async close(done: number, failed: number): Promise<void> {
    clearInterval(this.#timer);
    this.update(done, failed);
    try {
      this.report?.(this.#progress());
      await this.timeline.append(this.#sample());
      if (this.#trouble) throw this.#trouble;
    } finally {
      await this.timeline.close();
    }
  }

  #sample(): Sample {
    return { time: Date.now(), done: this.done, failed: this.failed };
  }

  #tick(): void {
    const now = performance.now();
    this.#recent.add(this.done + this.failed);
    try {
      this.report?.(this.#progress());
    } catch (error) {
      this.#trouble ??= error as Error; // from a timer it would end the process
    }
    if (now - this.#sampled < sampleMs) return;
    this.#sampled = now;
    this.timeline.append(this.#sample()).catch((error: unknown) => (this.#trouble ??= error as Error));
  }

  #progress(): BatchProgress {
    const ended = this.done + this.failed;
    const rate = this.#recent.perSecond(ended);
    return {
      total: this.total,
      done: this.done,
      failed: this.failed,
      rate,
      secondsLeft: rate > 0 ? (this.total - ended) / rate : null,
    };
  }
}
