// Many pictures through a detector: decoding runs ahead, neighbours of one padded size share a forward, results keep the order.
import { CornerNetError, sentenceOf } from '../errors.js';
import { imageName, type ImageSource } from '../images/source.js';
import type { Picture } from '../images/image.js';
import { ahead, type Hold } from '../images/room.js';
import { paddedSize } from './padding.js';
import { tilingOf, type Tile, type Tiling } from './tiles.js';

/** What the pipeline needs of a detector; `Found` is what the network says of a tile. */
export interface PipelineStages<Found, Result> {
  /** @param hold takes what the picture needs. */
  decode(source: ImageSource, hold: Hold): Promise<Picture>;
  /** In the tiles' order. */
  detect(tiles: readonly { readonly picture: Picture; readonly tile: Tile }[]): Promise<Found[]>;
  /** @param found of each tile of the picture. */
  finish(picture: Picture, tiling: Tiling, found: readonly Found[]): Promise<Result>;
  /** @param index of the picture among all, from 0. */
  failed(name: string | null, error: CornerNetError, index: number): Result;
}

export interface PipelineLimits {
  /** Pictures taken from the source and not yet handed on. */
  readonly concurrency: number;
  /** Tiles (without tiling, pictures) in a forward. */
  readonly batchSize: number;
  readonly devices: number;
  /** Pixels; without it each picture is one tile. */
  readonly tiles: { readonly size: number; readonly overlap: number } | undefined;
}

interface Slot<Result> {
  readonly name: string | null;
  readonly index: number;
  readonly result: Promise<Result>;
  readonly settle: (result: Result) => void;
}

/** A decoded picture whose tiles wait for the network or are in it. */
interface Job<Found, Result> {
  readonly slot: Slot<Result>;
  readonly picture: Picture;
  /** Until its pixels are needed no more. */
  readonly hold: Hold;
  readonly tiling: Tiling;
  readonly found: Found[];
  missing: number;
  failed: boolean;
}

interface Ready<Found, Result> {
  readonly job: Job<Found, Result>;
  readonly picture: Picture;
  readonly tile: Tile;
  /** Among the picture's tiles. */
  readonly place: number;
}

export class Pipeline<Found, Result> {
  readonly #stages: PipelineStages<Found, Result>;
  readonly #limits: PipelineLimits;
  readonly #iterator: AsyncIterator<ImageSource> | Iterator<ImageSource>;
  readonly #slots: Slot<Result>[] = [];
  /** By padded size. */
  readonly #ready = new Map<string, Ready<Found, Result>[]>();
  /** Of decoded pictures. */
  readonly #holds = new Set<Hold>();
  readonly #fatal: Promise<never>;
  #fail: (error: unknown) => void = () => undefined;
  #taken = 0;
  #decoding = 0;
  #computing = 0;
  #pulling = false;
  #exhausted = false;
  #sourceFailure: { error: unknown } | undefined;
  #stopped = false;
  #failed = false;
  #dispatchSoon: NodeJS.Immediate | undefined;
  #wake: () => void = () => undefined;

  constructor(sources: AsyncIterator<ImageSource> | Iterator<ImageSource>, stages: PipelineStages<Found, Result>, limits: PipelineLimits) {
    this.#stages = stages;
    this.#limits = limits;
    this.#iterator = sources;
    this.#fatal = new Promise((_, reject) => (this.#fail = reject));
    this.#fatal.catch(() => undefined); // seen by whoever waits for the next result
  }

  /** Results in the sources' order; then throws what the source threw. Throws at once what stop() was given. */
  async *results(): AsyncGenerator<Result, void, void> {
    const stopListening = ahead.onTight(() => this.#dispatch());
    try {
      for (;;) {
        this.#pull();
        const slot = this.#slots[0];
        if (slot) {
          const result = await Promise.race([this.#fatal, slot.result]);
          this.#slots.shift();
          yield result;
        } else if (this.#exhausted) {
          if (this.#sourceFailure) throw this.#sourceFailure.error;
          return;
        } else {
          await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), this.#fatal]);
        }
      }
    } finally {
      this.#stopped = true;
      clearImmediate(this.#dispatchSoon);
      stopListening();
      for (const hold of this.#holds) hold.release();
      await this.#endSource();
    }
  }

  /** Makes results() throw. */
  stop(reason: unknown): void {
    this.#stopped = this.#failed = true;
    this.#fail(reason);
  }

  /** A source that owes a picture may hang, and its end would wait behind that; whoever gives up waits for no source at all. */
  async #endSource(): Promise<void> {
    if (this.#exhausted) return;
    const wait = !this.#pulling && !this.#failed;
    const ended = (async () => this.#iterator.return?.())();
    if (wait) await ended;
    else ended.catch(() => undefined);
  }

  #pull(): void {
    if (this.#pulling || this.#exhausted || this.#stopped || this.#slots.length >= this.#limits.concurrency) return;
    this.#pulling = true;
    void (async () => {
      try {
        while (!this.#stopped && this.#slots.length < this.#limits.concurrency) {
          const next = await this.#iterator.next();
          if (next.done) {
            this.#exhausted = true;
            break;
          }
          this.#accept(next.value);
          this.#wake();
        }
      } catch (error) {
        this.#exhausted = true;
        this.#sourceFailure = { error };
      } finally {
        this.#pulling = false;
        if (this.#exhausted) this.#dispatch();
        this.#wake();
      }
    })();
  }

  #accept(source: ImageSource): void {
    let settle: (result: Result) => void = () => undefined;
    const result = new Promise<Result>((resolve) => (settle = resolve));
    const slot = { name: imageName(source), index: this.#taken++, result, settle };
    this.#slots.push(slot);
    this.#decoding++;
    const hold = ahead.open();
    this.#stages
      .decode(source, hold)
      .then((picture) => this.#queue(slot, picture, hold))
      .catch((error: unknown) => {
        hold.release();
        slot.settle(this.#stages.failed(slot.name, asCornerNetError(error), slot.index));
      })
      .finally(() => {
        this.#decoding--;
        this.#dispatch();
      });
  }

  #queue(slot: Slot<Result>, picture: Picture, hold: Hold): void {
    if (this.#stopped) {
      hold.release();
      return;
    }
    this.#holds.add(hold);
    const tiling = tilingOf(picture, this.#limits.tiles);
    const job = { slot, picture, hold, tiling, found: [], missing: tiling.tiles.length, failed: false };
    tiling.tiles.forEach((tile, place) => {
      const size = paddedSize(tile);
      const mates = this.#ready.get(size) ?? [];
      mates.push({ job, picture, tile, place });
      this.#ready.set(size, mates);
    });
  }

  /**
   * Hands batches to the devices: full ones at once and one ahead of each device, others when a device has nothing to do and nothing
   * is being decoded that could fill them, or there is no room for it. The source is not waited for: it may itself be waiting for a result.
   */
  #dispatch(): void {
    this.#startAll(2 * this.#limits.devices, this.#limits.batchSize);
    if (this.#exhausted) {
      this.#startRest();
      return;
    }
    // At the loop's next turn, because pictures that need no decoding arrive one microtask after the other.
    this.#dispatchSoon ??= setImmediate(() => {
      this.#dispatchSoon = undefined;
      this.#startRest();
    });
  }

  #startRest(): void {
    if (this.#decoding === 0 || ahead.isTight) this.#startAll(this.#limits.devices, 1);
  }

  /** Starts batches of at least so many while fewer than `most` are computed. */
  #startAll(most: number, atLeast: number): void {
    while (!this.#stopped && this.#computing < most) {
      const batch = this.#nextBatch(atLeast);
      if (!batch) return;
      this.#computing++;
      void this.#run(batch).finally(() => {
        this.#computing--;
        this.#dispatch();
      });
    }
  }

  #nextBatch(atLeast: number): Ready<Found, Result>[] | undefined {
    for (const [size, mates] of this.#ready) {
      if (mates.length < atLeast) continue;
      const batch = mates.splice(0, this.#limits.batchSize);
      if (mates.length === 0) this.#ready.delete(size);
      return batch;
    }
    return undefined;
  }

  async #run(batch: readonly Ready<Found, Result>[]): Promise<void> {
    const wanted = batch.filter(({ job }) => !job.failed);
    if (wanted.length === 0 || this.#stopped) return;
    try {
      const found = await this.#stages.detect(wanted);
      wanted.forEach((ready, i) => this.#take(ready, found[i] as Found));
    } catch (error) {
      const failure = asCornerNetError(error);
      if (failure.code === 'ERR_CLOSED') {
        this.stop(failure);
      } else if (wanted.length > 1) {
        // One picture, or the batch's size, may be at fault: halves find out which, and lose none.
        const half = Math.ceil(wanted.length / 2);
        await this.#run(wanted.slice(0, half));
        await this.#run(wanted.slice(half));
      } else {
        for (const { job } of wanted) this.#giveUp(job, failure);
      }
    }
  }

  #take({ job, place }: Ready<Found, Result>, found: Found): void {
    job.found[place] = found;
    if (--job.missing > 0) return;
    this.#release(job.hold);
    this.#stages.finish(job.picture, job.tiling, job.found).then(job.slot.settle, (error: unknown) => {
      const failure = asCornerNetError(error);
      if (failure.code === 'ERR_CLOSED') this.stop(failure);
      else this.#giveUp(job, failure);
    });
  }

  #release(hold: Hold): void {
    this.#holds.delete(hold);
    hold.release();
  }

  /** Tiles of it that still wait are passed over. */
  #giveUp(job: Job<Found, Result>, failure: CornerNetError): void {
    job.failed = true;
    this.#release(job.hold);
    job.slot.settle(this.#stages.failed(job.slot.name, failure, job.slot.index));
  }
}

function asCornerNetError(error: unknown): CornerNetError {
  return error instanceof CornerNetError ? error : new CornerNetError('ERR_INTERNAL', sentenceOf(error), { cause: error });
}
