// A call's pictures on their way through a detector, one or many: decoding runs ahead of the batches, results keep the order.
import { asCornerNetError, type CornerNetError } from '../errors.js';
import { imageName, type ImageSource } from '../images/source.js';
import type { Picture } from '../images/image.js';
import { ahead, type Hold } from '../images/room.js';
import type { Batches, BatchRequest, Company } from './batches.js';
import { tilingOf, type Tiling } from './tiles.js';

/** What the pipeline needs of a detector; `Found` is what the network says of a tile. */
export interface PipelineStages<Found, Result> {
  /** @param hold takes what the picture needs. */
  decode(source: ImageSource, hold: Hold): Promise<Picture>;
  /** @param found of each tile of the picture. */
  finish(picture: Picture, tiling: Tiling, found: readonly Found[]): Promise<Result>;
  /** @param index of the picture among all, from 0. */
  failed(name: string | null, error: CornerNetError, index: number): Result;
}

export interface PipelineLimits {
  /** Pictures taken from the source and not yet handed on. */
  readonly concurrency: number;
  readonly request: BatchRequest;
  /** Pixels; without it each picture is one tile. */
  readonly tiles: { readonly size: number; readonly overlap: number } | undefined;
}

interface Slot<Result> {
  readonly name: string | null;
  readonly index: number;
  settled?: { readonly result: Result };
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

export class Pipeline<Found, Result> {
  readonly #iterator: AsyncIterator<ImageSource> | Iterator<ImageSource>;
  readonly #slots: Slot<Result>[] = [];
  /** Of decoded pictures. */
  readonly #holds = new Set<Hold>();
  #taken = 0;
  readonly #decoding = new Set<Slot<Result>>();
  #pulling = false;
  #exhausted = false;
  #sourceFailure: { error: unknown } | undefined;
  #stopped = false;
  #failure: { readonly reason: unknown } | undefined;
  /** Has results() look again: a race of each result against a promise for stop() would keep them all, as long as the call lasts. */
  #wake: () => void = () => undefined;

  constructor(
    sources: AsyncIterator<ImageSource> | Iterator<ImageSource>,
    private readonly stages: PipelineStages<Found, Result>,
    private readonly batches: Batches<Found>,
    private readonly limits: PipelineLimits,
  ) {
    this.#iterator = sources;
  }

  /** Results in the sources' order; then throws what the source threw. Throws at once what stop() was given. */
  async *results(): AsyncGenerator<Result, void, void> {
    const stopListening = ahead.onTight(() => this.batches.dispatch());
    try {
      for (;;) {
        this.#pull();
        const slot = this.#slots[0];
        if (!slot && this.#exhausted) {
          if (this.#sourceFailure) throw this.#sourceFailure.error;
          return;
        }
        if (this.#failure) throw this.#failure.reason;
        if (slot?.settled) {
          this.#slots.shift();
          yield slot.settled.result;
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
    } finally {
      this.#stopped = true;
      if (this.#slots.length > 0 && !this.#failure) this.batches.sweep(); // nothing waits after all is done, and stop() has swept
      stopListening();
      for (const hold of this.#holds) hold.release();
      await this.#endSource();
    }
  }

  /** Makes results() throw. */
  stop(reason: unknown): void {
    this.#stopped = true;
    this.#failure ??= { reason };
    this.batches.sweep();
    this.#wake();
  }

  /** A source that owes a picture may hang, and its end would wait behind that; whoever gives up waits for no source at all. */
  async #endSource(): Promise<void> {
    if (this.#exhausted) return;
    const wait = !this.#pulling && !this.#failure;
    const ended = (async () => this.#iterator.return?.())();
    if (wait) await ended;
    else ended.catch(() => undefined);
  }

  #pull(): void {
    if (this.#pulling || this.#exhausted || this.#stopped || this.#slots.length >= this.limits.concurrency) return;
    this.#pulling = true;
    void (async () => {
      try {
        while (!this.#stopped && this.#slots.length < this.limits.concurrency) {
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
        if (this.#exhausted) this.batches.dispatch();
        this.#wake();
      }
    })();
  }

  #accept(source: ImageSource): void {
    const slot: Slot<Result> = { name: imageName(source), index: this.#taken++ };
    this.#slots.push(slot);
    this.#decoding.add(slot);
    const hold = ahead.open();
    const decoded = async (): Promise<void> => {
      try {
        const picture = await this.stages.decode(source, hold);
        this.#decoding.delete(slot); // in one step with what follows: else others would see that nothing comes, and nothing there
        this.#queue(slot, picture, hold);
      } catch (error) {
        this.#decoding.delete(slot);
        hold.release();
        this.#fail(slot, asCornerNetError(error));
      }
      this.batches.dispatch(); // an idle device waits for no other call that may come
    };
    void decoded();
  }

  #queue(slot: Slot<Result>, picture: Picture, hold: Hold): void {
    if (this.#stopped) {
      hold.release();
      return;
    }
    this.#holds.add(hold);
    const tiling = tilingOf(picture, this.limits.tiles);
    const job: Job<Found, Result> = { slot, picture, hold, tiling, found: [], missing: tiling.tiles.length, failed: false };
    tiling.tiles.forEach((tile, place) => {
      const waiting = {
        ...{ picture, tile },
        wanted: () => !this.#stopped && !job.failed,
        take: (found: Found) => this.#take(job, place, found),
        fail: (failure: CornerNetError) => this.#fault(job, failure),
      };
      this.batches.add(waiting, this.limits.request, this.#company);
    });
  }

  /** The source is not waited for: it may itself be waiting for a result. Nor is what finds no room to be decoded. */
  readonly #company = (): Company => {
    if (this.#decoding.size > 0 && !ahead.isTight) return 'coming';
    return this.#exhausted ? 'none' : 'soon';
  };

  #take(job: Job<Found, Result>, place: number, found: Found): void {
    job.found[place] = found;
    if (--job.missing > 0) return;
    this.#release(job.hold);
    this.stages.finish(job.picture, job.tiling, job.found).then(
      (result) => this.#settle(job.slot, result),
      (error: unknown) => this.#fault(job, asCornerNetError(error)),
    );
  }

  /** A detector that is closed ends the call. */
  #fault(job: Job<Found, Result>, failure: CornerNetError): void {
    if (failure.code === 'ERR_CLOSED') this.stop(failure);
    else this.#giveUp(job, failure);
  }

  #release(hold: Hold): void {
    this.#holds.delete(hold);
    hold.release();
  }

  /** Tiles of it that still wait are passed over. */
  #giveUp(job: Job<Found, Result>, failure: CornerNetError): void {
    job.failed = true;
    this.#release(job.hold);
    this.#fail(job.slot, failure);
  }

  #fail(slot: Slot<Result>, failure: CornerNetError): void {
    this.#settle(slot, this.stages.failed(slot.name, failure, slot.index));
  }

  #settle(slot: Slot<Result>, result: Result): void {
    slot.settled ??= { result };
    this.#wake();
  }
}
