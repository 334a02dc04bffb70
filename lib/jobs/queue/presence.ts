// What `cornernet status` shows of a worker: a line in the queue, which it renews while it lives.
import { hostname } from 'node:os';

import type { Queue } from 'bullmq';

import type { SupervisedDetector } from '../supervisor.js';
import type { WorkerState } from '../types.js';
import type { Reply } from './protocol.js';

const tellMs = 2_000;

export class Presence {
  readonly state: { -readonly [Key in keyof WorkerState]: WorkerState[Key] } = {
    host: hostname(),
    pid: process.pid,
    device: null,
    pictures: 0,
    errors: 0,
    refused: 0,
    rate: 0,
    time: 0,
  };
  /** That works at present, or did last. */
  engine: SupervisedDetector | undefined;
  readonly #queue: Queue;
  #before = { pictures: 0, time: Date.now() };
  readonly #timer: NodeJS.Timeout;

  constructor(queue: Queue) {
    this.#queue = queue;
    this.#timer = setInterval(() => void this.tell().catch(() => undefined), tellMs);
  }

  count({ outcomes }: Reply): void {
    this.state.pictures += outcomes.length;
    this.state.errors += outcomes.filter((outcome) => 'error' in outcome).length;
  }

  async tell(): Promise<void> {
    const now = Date.now();
    const rate = (this.state.pictures - this.#before.pictures) / Math.max(1e-3, (now - this.#before.time) / 1000);
    this.#before = { pictures: this.state.pictures, time: now };
    Object.assign(this.state, { rate: (this.state.rate + rate) / 2, time: now });
    await (await this.#queue.client).hset(this.#queue.toKey('presence'), { [this.#field]: JSON.stringify(this.state) });
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Until then its line in the status fades by itself. */
  async leave(): Promise<void> {
    await (await this.#queue.client).hdel(this.#queue.toKey('presence'), this.#field);
  }

  get #field(): string {
    return `${this.state.host}-${this.state.pid}`;
  }
}
