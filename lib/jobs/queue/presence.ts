// What `cornernet status` shows of a worker: a line in the queue, which it renews while it lives.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import type { Queue, RedisClient } from 'bullmq';
import type { Redis } from 'ioredis';

import type { SupervisedDetector } from '../supervisor.js';
import { RecentRate } from '../../recent-rate.js';
import { parseLine } from '../lines.js';
import type { WorkerState } from '../types.js';
import { workerSchema, type Reply } from './protocol.js';

const tellMs = 2_000;
const aliveMs = 15_000;

/** Milliseconds since 1970 by the server's clock: that of another machine may say anything. */
export async function serverTime(client: RedisClient): Promise<number> {
  const [seconds, microseconds] = await (client as unknown as Redis).time();
  return 1000 * Number(seconds) + Math.floor(Number(microseconds) / 1000);
}

/** Those that showed life of late. @param forget deletes the lines of others, which were killed. */
export async function livingWorkers(queue: Queue, forget = false): Promise<WorkerState[]> {
  const [client, key] = [await queue.client, queue.toKey('presence')];
  const lines = Object.entries(await client.hgetall(key));
  const now = await serverTime(client);
  const living: WorkerState[] = [];
  for (const [field, text] of lines) {
    const { data } = workerSchema.safeParse(parseLine(text));
    if (data && now - data.time < aliveMs) living.push(data);
    else if (forget) await client.hdel(key, field);
  }
  return living;
}

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
  /** Containers may share a host name and have the same process numbers. */
  readonly #field: string = randomUUID();
  readonly #recent = new RecentRate();
  #ended = false;
  readonly #timer: NodeJS.Timeout;

  constructor(private readonly queue: Queue) {
    // One at a time: a server that is away would have all of them to answer when it is back.
    let telling = false;
    this.#timer = setInterval(() => {
      if (telling) return;
      telling = true;
      void this.tell()
        .catch(() => undefined)
        .finally(() => (telling = false));
    }, tellMs);
  }

  count({ outcomes }: Reply): void {
    this.state.pictures += outcomes.length;
    this.state.errors += outcomes.filter((outcome) => 'error' in outcome).length;
  }

  async tell(): Promise<void> {
    this.#recent.add(this.state.pictures);
    const client = await this.queue.client;
    Object.assign(this.state, { rate: this.#recent.perSecond(this.state.pictures), time: await serverTime(client) });
    if (this.#ended) return; // or its line would come back after leave()
    await client.hset(this.queue.toKey('presence'), { [this.#field]: JSON.stringify(this.state) });
  }

  end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
  }

  /** Until then its line in the status fades by itself. */
  async leave(): Promise<void> {
    await (await this.queue.client).hdel(this.queue.toKey('presence'), this.#field);
  }
}
