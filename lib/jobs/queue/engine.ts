// The batch's side of the queue: pictures go out in chunks, workers anywhere compute them, and their outcomes come back.
import { randomUUID } from 'node:crypto';

import type { Queue } from 'bullmq';

import { CornerNetError, sentenceOf } from '../../errors.js';
import type { Entry } from '../../inputs/entry.js';
import { findWeights } from '../../weights/weights.js';
import type { QueueOptions } from '../interfaces.js';
import { parseLine } from '../lines.js';
import { failedOutcome, type PictureOutcome } from '../outcome.js';
import type { Engine } from '../supervisor.js';
import { chunksIn, openQueue, queueFailure, sayGoodbye, type OpenQueue } from './connection.js';
import {
  longestReply,
  longestSentence,
  parseMessage,
  picturesAChunk,
  replySchemaOf,
  sentEntrySchema,
  type Chunk,
  type Reply,
} from './protocol.js';
import { QueueRoot } from './root.js';
import type { MessageSeal } from './seal.js';

/** Chunks in the queue at once: enough for dozens of workers, few enough that nothing piles up in Redis. */
const chunksAhead = 64;
const fillMs = 50;
const pollMs = 150;
/** Looks from one write to the next, which fails on a server that is full: no worker could reply there, and looking alone would wait for ever. */
const looksAWrite = 20;
/** Replies to a chunk that are none, after which the batch gives up. */
const badReplies = 3;
/** What workers say is passed on to people so often: who writes to the queue must not fill their disk. */
const mostReasons = 20;

const lookName = 'cornernetLook';
/** What became of a chunk. What is too long to be right comes as nothing: Redis holds what anybody put there. */
const lookScript = `
  local function read(field)
    if redis.call('HSTRLEN', KEYS[1], field) > tonumber(ARGV[1]) then return '' end
    return redis.call('HGET', KEYS[1], field)
  end
  return { read('name'), read('finishedOn'), read('returnvalue'), read('failedReason') }`;
type Look = readonly [exists: string | null, finished: string | null, reply: string | null, reason: string | null];

interface QueuedPicture {
  readonly entry: Entry;
  /** As it is named to workers. */
  readonly sent: Chunk['entries'][number];
  readonly settle: (outcome: PictureOutcome) => void;
  readonly fail: (error: unknown) => void;
}

interface OutChunk {
  readonly pictures: readonly QueuedPicture[];
  readonly badReplies: number;
}

export class QueueEngine implements Engine {
  readonly window = chunksAhead * picturesAChunk;
  readonly #queue: Queue;
  readonly #seal: MessageSeal;
  readonly #root: QueueRoot;
  readonly #common: Omit<Chunk, 'entries'>;
  readonly #say: (text: string) => void;
  readonly #run = randomUUID();
  readonly #out = new Map<string, OutChunk>();
  /** Why chunks came back, as far as it was said. */
  readonly #reasons = new Set<string>();
  #filling: QueuedPicture[] = [];
  #next = 0;
  #fill: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  /** Why nothing is taken any more. */
  #end: CornerNetError | undefined;
  #classes: readonly string[] | undefined;

  private constructor({ queue, seal }: OpenQueue, root: QueueRoot, common: Omit<Chunk, 'entries'>, say: (text: string) => void) {
    this.#queue = queue;
    this.#seal = seal;
    this.#root = root;
    this.#common = common;
    this.#say = say;
  }

  /** @throws {CornerNetError} `ERR_QUEUE`, `ERR_OPTION`, `ERR_INPUT` (no such root). */
  static async start(options: QueueOptions, common: Omit<Chunk, 'entries'>, say: (text: string) => void): Promise<QueueEngine> {
    const root = new QueueRoot(options.root);
    const open = await openQueue(options, say);
    const client = await open.queue.client;
    client.defineCommand(lookName, { numberOfKeys: 1, lua: lookScript });
    const { given, sha256 } = common.weights;
    const weights = { given: findWeights(given) ? given : root.relativeFile(given), sha256 };
    return new QueueEngine(open, root, { ...common, weights }, say);
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
      if (this.#end) throw this.#end; // looks at pictures may outlast it
      const sent = sentEntrySchema.safeParse(this.#root.relativeEntry(entry));
      if (!sent.success) {
        settle(failedOutcome(entry, new CornerNetError('ERR_INPUT', `${entry.path} can't be sent through a queue: no path is like this`)));
        return;
      }
      this.#filling.push({ entry, sent: sent.data, settle, fail });
      if (this.#filling.length === picturesAChunk) this.#flush();
      else this.#fill ??= setTimeout(() => this.#flush(), fillMs);
    });
  }

  async close(): Promise<void> {
    this.#end = new CornerNetError('ERR_CLOSED', 'the batch was ended');
    clearTimeout(this.#fill);
    this.#failAll(this.#end);
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
    const pictures = this.#filling;
    this.#filling = [];
    this.#sendOut({ pictures, badReplies: 0 }).then(
      () => (this.#polling ??= this.#poll()),
      (error: unknown) => this.#failAll(error),
    );
  }

  /** Under a name that no message had before. */
  async #sendOut(chunk: OutChunk): Promise<void> {
    const id = `${this.#run}-${this.#next++}`;
    this.#out.set(id, chunk);
    await this.#add(id, chunk);
  }

  async #add(id: string, { pictures }: OutChunk): Promise<void> {
    const chunk: Chunk = { ...this.#common, entries: pictures.map(({ sent }) => sent) };
    await this.#queue.add('chunk', this.#seal.close('chunk', id, chunk), { jobId: id });
  }

  /** Looks for what has ended. Events alone would not do: a server that restarts loses them, and with them perhaps its last second. */
  async #poll(): Promise<void> {
    try {
      for (let looks = 0; this.#out.size > 0 && !this.#end; looks++) {
        if (looks % looksAWrite === 0) await this.#write();
        await Promise.all([...this.#out].map(([id, chunk]) => this.#look(id, chunk)));
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    } catch (error) {
      this.#failAll(error);
    } finally {
      this.#polling = undefined;
    }
  }

  async #write(): Promise<void> {
    const client = await this.#queue.client;
    await client.set(this.#queue.toKey(`batch-${this.#run}`), '1', { EX: 60 });
  }

  async #look(id: string, chunk: OutChunk): Promise<void> {
    const client = await this.#queue.client;
    const longest = 2 * longestReply(this.#common); // as JSON in JSON
    const [exists, finished, reply, reason] = (await client.runCommand(lookName, [this.#queue.toKey(id), longest])) as Look;
    if (this.#end) return;
    if (exists === null) await this.#add(id, chunk);
    else if (finished !== null && reply !== null) await this.#take(id, chunk, reply);
    else if (finished !== null)
      throw new CornerNetError('ERR_QUEUE', `a worker refused a chunk: ${(reason ?? '').slice(0, longestSentence)}`);
    else if (reason !== null) this.#sayOnce(`a worker gave a chunk back, for others to take: ${reason.slice(0, longestSentence)}`);
  }

  #sayOnce(reason: string): void {
    if (this.#reasons.has(reason) || this.#reasons.size === mostReasons) return;
    this.#reasons.add(reason);
    this.#say(reason);
  }

  /** Settles the chunk's pictures, or has them computed again: whatever is no reply is no reason to record anything. */
  async #take(id: string, chunk: OutChunk, text: string): Promise<void> {
    const { pictures } = chunk;
    if (!this.#out.delete(id)) return; // given up meanwhile
    try {
      const { outcomes, classes } = this.#read(id, pictures.length, text);
      this.#classes ??= classes;
      // The batch's own names: workers may keep the pictures elsewhere.
      pictures.forEach(({ entry, settle }, i) => settle({ ...(outcomes[i] as PictureOutcome), image: entry.path }));
    } catch (error) {
      await this.#again(pictures, chunk.badReplies + 1, error);
    }
    await this.#queue.remove(id).catch(() => undefined); // Redis deletes it in time
  }

  async #again(pictures: OutChunk['pictures'], refused: number, error: unknown): Promise<void> {
    if (refused < badReplies) {
      this.#say(`a worker's reply was refused: ${sentenceOf(error)}; its pictures are computed again`);
      await this.#sendOut({ pictures, badReplies: refused });
    } else {
      this.#failAll(
        new CornerNetError('ERR_QUEUE', `${refused} replies to a chunk were refused, the last one: ${sentenceOf(error)}`),
        pictures,
      );
    }
  }

  #read(id: string, pictures: number, text: string): Reply {
    const longest = longestReply(this.#common);
    if (text === '') throw new CornerNetError('ERR_QUEUE', `it has more than ${longest} characters`);
    const message = this.#seal.open('reply', id, parseLine(text), longest);
    return parseMessage(replySchemaOf(this.#common, pictures), message, 'it');
  }

  /** By their names: what is damaged in the queue of others is not read. */
  async #removeOwn(): Promise<void> {
    const ids = await this.#queue.getRanges(['waiting', 'paused', 'delayed', 'completed', 'failed'], 0, -1);
    await Promise.all(ids.filter((id) => id.startsWith(this.#run)).map((id) => this.#queue.remove(id).catch(() => undefined)));
  }

  /** @param others that are not out at the moment. */
  #failAll(error: unknown, others: readonly QueuedPicture[] = []): void {
    const failure = queueFailure(error);
    const pictures = [...[...this.#out.values()].map((chunk) => chunk.pictures), this.#filling, others].flat();
    this.#out.clear();
    this.#filling = [];
    for (const { fail } of pictures) fail(failure);
  }
}
