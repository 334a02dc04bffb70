// The one place that forms batches: tiles of one padded size and one request share a forward, whichever calls of the detector they come from.
import { asCornerNetError, CornerNetError } from '../errors.js';
import type { Picture } from '../images/image.js';
import type { NativeDetectOptions } from '../native.js';
import { paddedSize } from './padding.js';
import type { Tile } from './tiles.js';

/** What a call asks of the network for each of its tiles. */
export class BatchRequest {
  /** The options as text: calls of the same share forwards. */
  readonly key: string;

  constructor(
    readonly options: NativeDetectOptions,
    /** Tiles that a forward may have with one of this call among them. */
    readonly most: number,
  ) {
    this.key = JSON.stringify(options);
  }
}

/** Whether more of a call's own tiles are to come: 'soon' when at the event loop's next turn at the latest nothing does. */
export type Company = 'coming' | 'soon' | 'none';

/** A tile that waits for the network or is in it. */
export interface PendingTile<Found> {
  readonly picture: Picture;
  readonly tile: Tile;
  /** False when nobody waits for it any more: it is passed over. */
  wanted(): boolean;
  take(found: Found): void;
  fail(error: CornerNetError): void;
}

/** @param signal aborts when none of the tiles is wanted any more. */
type Forward<Found> = (tiles: readonly PendingTile<Found>[], options: NativeDetectOptions, signal: AbortSignal) => Promise<Found[]>;

interface Member<Found> {
  readonly waiting: PendingTile<Found>;
  readonly request: BatchRequest;
  readonly company: () => Company;
  /** Among all that ever waited. */
  readonly order: number;
}

interface Running<Found> {
  readonly members: readonly Member<Found>[];
  readonly aborter: AbortController;
}

export class Batches<Found> {
  /** By what may share a forward, in the order of their coming. */
  readonly #queues = new Map<string, Member<Found>[]>();
  readonly #running = new Set<Running<Found>>();
  #arrived = 0;
  #waitsForTurn = false;

  constructor(
    private readonly forward: Forward<Found>,
    private readonly devices: number,
  ) {}

  /** @param company of the call that the tile belongs to, asked whenever a device is free. */
  add(waiting: PendingTile<Found>, request: BatchRequest, company: () => Company): void {
    const key = `${paddedSize(waiting.tile)} ${request.key}`;
    const queue = this.#queues.get(key) ?? [];
    queue.push({ waiting, request, company, order: this.#arrived++ });
    this.#queues.set(key, queue);
  }

  /**
   * Hands batches to the devices, the one that has waited the longest first: a full one at once, and one ahead of each device; another when a device has
   * nothing to do and one of its calls has no more to come, so that nobody waits for another's company. To be called when tiles have been added and when
   * a call's company changed.
   */
  dispatch(): void {
    this.#startAll(false);
    if (this.#queues.size === 0 || this.#waitsForTurn) return;
    // At the loop's next turn, because pictures that need no decoding arrive one microtask after the other.
    this.#waitsForTurn = true;
    setImmediate(() => {
      this.#waitsForTurn = false;
      this.#startAll(true);
    });
  }

  /** Lets go of what is not wanted any more, waiting or under way. */
  sweep(): void {
    for (const [key, queue] of this.#queues) {
      const wanted = queue.filter(({ waiting }) => waiting.wanted());
      if (wanted.length === 0) this.#queues.delete(key);
      else this.#queues.set(key, wanted);
    }
    for (const { members, aborter } of this.#running) {
      if (!members.some(({ waiting }) => waiting.wanted())) aborter.abort(new CornerNetError('ERR_CLOSED', 'nobody waits for it any more'));
    }
  }

  /** @param isTurn whether what was to come soon would be here by now. */
  #startAll(isTurn: boolean): void {
    for (let members = this.#next(isTurn); members; members = this.#next(isTurn)) {
      const running = { members, aborter: new AbortController() };
      this.#running.add(running);
      void this.#run(members, running.aborter.signal).finally(() => {
        this.#running.delete(running);
        this.dispatch();
      });
    }
  }

  /** The batch that has waited the longest, if it may start: none passes it, or a stream of full ones would keep it waiting for ever. */
  #next(isTurn: boolean): readonly Member<Found>[] | undefined {
    const ready = [...this.#queues].filter(([, queue]) => isFull(queue) || queue.some(({ company }) => company() !== 'coming'));
    const [first] = ready.sort(([, a], [, b]) => (a[0]?.order ?? 0) - (b[0]?.order ?? 0));
    if (!first) return undefined;
    const [key, queue] = first;
    const mayStart = isFull(queue) || isTurn || queue.some(({ company }) => company() === 'none');
    if (!mayStart || this.#running.size >= (isFull(queue) ? 2 : 1) * this.devices) return undefined;
    const members = queue.splice(0, batchLength(queue));
    if (queue.length === 0) this.#queues.delete(key);
    return members;
  }

  async #run(batch: readonly Member<Found>[], signal: AbortSignal): Promise<void> {
    const wanted = batch.filter(({ waiting }) => waiting.wanted());
    const options = wanted[0]?.request.options;
    if (!options) return;
    try {
      const found = await this.forward(
        wanted.map(({ waiting }) => waiting),
        options,
        signal,
      );
      wanted.forEach(({ waiting }, i) => {
        if (waiting.wanted()) waiting.take(found[i] as Found);
      });
    } catch (error) {
      const failure = asCornerNetError(error);
      if (wanted.length > 1 && failure.code !== 'ERR_CLOSED') {
        // One picture, or the batch's size, may be at fault: halves find out which, and lose none.
        const half = Math.ceil(wanted.length / 2);
        await this.#run(wanted.slice(0, half), signal);
        await this.#run(wanted.slice(half), signal);
      } else {
        for (const { waiting } of wanted) if (waiting.wanted()) waiting.fail(failure);
      }
    }
  }
}

/** Tiles from the queue's front that may share a forward: as many as each of them allows. */
function batchLength(queue: readonly Member<unknown>[]): number {
  let length = 0;
  for (let most = Infinity; length < queue.length; length++) {
    most = Math.min(most, queue[length]?.request.most ?? 1);
    if (length + 1 > most) break;
  }
  return length;
}

function isFull(queue: readonly Member<unknown>[]): boolean {
  return queue.length >= (queue[0]?.request.most ?? 1);
}
