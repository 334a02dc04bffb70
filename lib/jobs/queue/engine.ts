// The batch's side of the queue: pictures go out in chunks, workers anywhere compute them, and their outcomes come back.
import { randomUUID } from 'node:crypto';

import type { Queue } from 'bullmq';

import { CornerNetError } from '../../errors.js';
import type { Entry } from '../../inputs/entry.js';
import { findWeights } from '../../weights/weights.js';
import type { QueueOptions } from '../interfaces.js';
import { parseLine } from '../lines.js';
import type { PictureOutcome } from '../outcome.js';
import type { Engine } from '../supervisor.js';
import { chunksIn, openQueue, sayGoodbye } from './connection.js';
import { parseMessage, picturesAChunk, replySchema, type Chunk, type Reply } from './protocol.js';
import { QueueRoot } from './root.js';

/** Chunks in the queue at once: enough for dozens of workers, few enough that nothing piles up in Redis. */
const chunksAhead = 64;
const fillMs = 50;
const pollMs = 150;
const chunkOptions = {
  /** A worker that can't go on gives its chunk back; others take it as long as it takes. */
  attempts: 1_000_000,
  backoff: { type: 'fixed', delay: 1_000 },
  /** Seconds after which the results of a batch that went away are Redis's to delete. */
  removeOnComplete: { age: 3_600 },
};

interface QueuedPicture {
  readonly entry: Entry;
  readonly settle: (outcome: PictureOutcome) => void;
  readonly fail: (error: unknown) => void;
}

export class QueueEngine implements Engine {
  readonly window = chunksAhead * picturesAChunk;
  readonly #queue: Queue;
  readonly #root: QueueRoot;
  readonly #common: Omit<Chunk, 'entries'>;
  readonly #run = randomUUID();
  readonly #out = new Map<string, QueuedPicture[]>();
  #filling: QueuedPicture[] = [];
  #next = 0;
  #fill: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #closed = false;
  #classes: readonly string[] | undefined;

  private constructor(queue: Queue, root: QueueRoot, common: Omit<Chunk, 'entries'>) {
    this.#queue = queue;
    this.#root = root;
    this.#common = common;
  }

  /** @throws {CornerNetError} `ERR_QUEUE`, `ERR_OPTION`, `ERR_INPUT` (no such root). */
  static async start(options: QueueOptions, common: Omit<Chunk, 'entries'>, say: (text: string) => void): Promise<QueueEngine> {
    const root = new QueueRoot(options.root);
    const { queue } = await openQueue(options, say);
    await queue.waitUntilReady();
    const { given, sha256 } = common.weights;
    const weights = { given: findWeights(given) ? given : root.relativeFile(given), sha256 };
    return new QueueEngine(queue, root, { ...common, weights });
  }

  /** Names by class id, once a worker has told them. */
  get classes(): readonly string[] | undefined {
    return this.#classes;
  }

  /** How many chunks the queue holds in each state, other jobs' too. */
  chunks(): Promise<Record<string, number>> {
    return chunksIn(this.#queue);
  }

  submit(entry: Entry): Promise<PictureOutcome> {
    return new Promise((settle, fail) => {
      this.#filling.push({ entry, settle, fail });
      if (this.#filling.length === picturesAChunk) this.#flush();
      else this.#fill ??= setTimeout(() => this.#flush(), fillMs);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#fill);
    this.#failAll(new CornerNetError('ERR_CLOSED', 'the batch was ended'));
    await sayGoodbye(
      async () => {
        await this.#polling;
        await this.#removeOwn();
        await this.#queue.close();
      },
      () => this.#queue.disconnect(),
    );
  }

  #flush(): void {
    clearTimeout(this.#fill);
    this.#fill = undefined;
    const tasks = this.#filling;
    this.#filling = [];
    const id = `${this.#run}-${this.#next++}`;
    this.#out.set(id, tasks);
    this.#add(id, tasks).then(
      () => (this.#polling ??= this.#poll()),
      (error: unknown) => this.#failAll(error),
    );
  }

  async #add(id: string, tasks: readonly QueuedPicture[]): Promise<void> {
    const chunk: Chunk = { ...this.#common, entries: tasks.map(({ entry }) => this.#root.relativeEntry(entry)) };
    await this.#queue.add('chunk', chunk, { jobId: id, ...chunkOptions });
  }

  /** Looks for what has ended. Events alone would not do: a server that restarts loses them, and with them perhaps its last second. */
  async #poll(): Promise<void> {
    try {
      while (this.#out.size > 0 && !this.#closed) {
        const client = await this.#queue.client;
        await Promise.all(
          [...this.#out.keys()].map(async (id) => {
            const [exists, reply, finished, reason] = await client.hmget(
              this.#queue.toKey(id),
              'name',
              'returnvalue',
              'finishedOn',
              'failedReason',
            );
            if (this.#closed) return;
            if (exists === null) await this.#addAgain(id);
            else if (typeof reply === 'string') await this.#settle(id, reply);
            else if (typeof finished === 'string') throw new CornerNetError('ERR_QUEUE', `a worker refused a chunk: ${reason ?? ''}`);
          }),
        );
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    } catch (error) {
      this.#failAll(error);
    } finally {
      this.#polling = undefined;
    }
  }

  async #addAgain(id: string): Promise<void> {
    const tasks = this.#out.get(id);
    if (tasks) await this.#add(id, tasks);
  }

  async #settle(id: string, text: string): Promise<void> {
    const tasks = this.#out.get(id);
    if (!tasks) return;
    const reply: Reply = parseMessage(replySchema, parseLine(text), "a worker's reply");
    if (reply.outcomes.length !== tasks.length) {
      throw new CornerNetError('ERR_QUEUE', `a worker replied with ${reply.outcomes.length} outcomes of ${tasks.length} pictures`);
    }
    this.#out.delete(id);
    this.#classes ??= reply.classes;
    // The batch's own names: workers may keep the pictures elsewhere.
    tasks.forEach(({ entry, settle }, i) => settle({ ...(reply.outcomes[i] as PictureOutcome), image: entry.path }));
    await this.#queue.remove(id).catch(() => undefined); // Redis deletes it in time
  }

  async #removeOwn(): Promise<void> {
    const waiting = await this.#queue.getJobs(['waiting', 'delayed', 'completed', 'failed']);
    await Promise.all(waiting.filter(({ id }) => id?.startsWith(this.#run) === true).map((job) => job.remove().catch(() => undefined)));
  }

  #failAll(error: unknown): void {
    const tasks = [...this.#out.values(), this.#filling].flat();
    this.#out.clear();
    this.#filling = [];
    for (const { fail } of tasks) fail(error);
  }
}
