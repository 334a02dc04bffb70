// Many pictures through a detector: decoding runs ahead, neighbours of one padded size share a forward, results keep the order.
import { CornerNetError, sentenceOf } from '../errors.js';
import type { ImageSource } from '../images/image.js';
import type { NativePicture } from '../native.js';

/** What the pipeline needs of a detector. */
export interface PipelineStages<Result> {
  decode(source: ImageSource): Promise<NativePicture>;
  /** Results in the pictures' order. */
  detect(sources: readonly ImageSource[], pictures: NativePicture[]): Promise<Result[]>;
  failed(source: ImageSource, error: CornerNetError): Result;
}

export interface PipelineLimits {
  /** Pictures taken from the source and not yet handed on. */
  readonly concurrency: number;
  readonly batchSize: number;
  readonly devices: number;
}

interface Slot<Result> {
  readonly source: ImageSource;
  readonly result: Promise<Result>;
  readonly settle: (result: Result) => void;
}

interface Ready<Result> {
  readonly slot: Slot<Result>;
  readonly picture: NativePicture;
}

/** Pictures share a forward only when they are padded to the same size (csrc/ops/image.h). */
function paddedSize(picture: NativePicture): string {
  return `${picture.width | 127}x${picture.height | 127}`;
}

export class Pipeline<Result> {
  readonly #stages: PipelineStages<Result>;
  readonly #limits: PipelineLimits;
  readonly #iterator: AsyncIterator<ImageSource> | Iterator<ImageSource>;
  readonly #slots: Slot<Result>[] = [];
  readonly #ready: Ready<Result>[] = [];
  readonly #fatal: Promise<never>;
  #fail: (error: unknown) => void = () => undefined;
  #decoding = 0;
  #computing = 0;
  #pulling = false;
  #exhausted = false;
  #sourceFailure: { error: unknown } | undefined;
  #stopped = false;
  #dispatchSoon: NodeJS.Immediate | undefined;
  #wake: () => void = () => undefined;

  constructor(sources: Iterable<ImageSource> | AsyncIterable<ImageSource>, stages: PipelineStages<Result>, limits: PipelineLimits) {
    this.#stages = stages;
    this.#limits = limits;
    this.#iterator = Symbol.asyncIterator in sources ? sources[Symbol.asyncIterator]() : sources[Symbol.iterator]();
    this.#fatal = new Promise((_, reject) => (this.#fail = reject));
    this.#fatal.catch(() => undefined); // seen by whoever waits for the next result
  }

  /** Results in the sources' order; then throws what the source threw. Throws at once what stop() was given. */
  async *results(): AsyncGenerator<Result, void, void> {
    try {
      for (;;) {
        this.#pull();
        const slot = this.#slots[0];
        if (slot) {
          const result = await Promise.race([slot.result, this.#fatal]);
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
      if (!this.#exhausted) await this.#iterator.return?.();
    }
  }

  /** Makes results() throw. */
  stop(reason: unknown): void {
    this.#stopped = true;
    this.#fail(reason);
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
        this.#wake();
      }
    })();
  }

  #accept(source: ImageSource): void {
    let settle: (result: Result) => void = () => undefined;
    const result = new Promise<Result>((resolve) => (settle = resolve));
    const slot = { source, result, settle };
    this.#slots.push(slot);
    this.#decoding++;
    this.#stages
      .decode(source)
      .then((picture) => this.#ready.push({ slot, picture }))
      .catch((error: unknown) => slot.settle(this.#stages.failed(source, asCornerNetError(error))))
      .finally(() => {
        this.#decoding--;
        this.#dispatch();
      });
  }

  /**
   * Hands batches to the devices: full ones at once and one ahead of each device, others when a device has nothing to do and nothing
   * is being decoded that could fill them. The source is not waited for: it may itself be waiting for a result.
   */
  #dispatch(): void {
    while (!this.#stopped && this.#computing < 2 * this.#limits.devices) {
      const batch = this.#nextBatch(this.#limits.batchSize);
      if (!batch) break;
      this.#start(batch);
    }
    // At the loop's next turn, because pictures that need no decoding arrive one microtask after the other.
    this.#dispatchSoon ??= setImmediate(() => {
      this.#dispatchSoon = undefined;
      while (!this.#stopped && this.#computing < this.#limits.devices && this.#decoding === 0) {
        const batch = this.#nextBatch(1);
        if (!batch) break;
        this.#start(batch);
      }
    });
  }

  #start(batch: Ready<Result>[]): void {
    this.#computing++;
    void this.#run(batch).finally(() => {
      this.#computing--;
      this.#dispatch();
    });
  }

  /** Takes the first batch of at least `atLeast` pictures. */
  #nextBatch(atLeast: number): Ready<Result>[] | undefined {
    for (const { picture } of this.#ready) {
      const mates = this.#ready.filter((other) => paddedSize(other.picture) === paddedSize(picture)).slice(0, this.#limits.batchSize);
      if (mates.length < atLeast) continue;
      for (const mate of mates) this.#ready.splice(this.#ready.indexOf(mate), 1);
      return mates;
    }
    return undefined;
  }

  async #run(batch: Ready<Result>[]): Promise<void> {
    try {
      const results = await this.#stages.detect(
        batch.map(({ slot }) => slot.source),
        batch.map(({ picture }) => picture),
      );
      batch.forEach(({ slot }, i) => slot.settle(results[i] as Result));
    } catch (error) {
      const failure = asCornerNetError(error);
      if (failure.code === 'ERR_CLOSED') {
        this.stop(failure);
      } else if (batch.length > 1) {
        // One picture, or the batch's size, may be at fault: halves find out which, and lose none.
        const half = Math.ceil(batch.length / 2);
        await this.#run(batch.slice(0, half));
        await this.#run(batch.slice(half));
      } else {
        for (const { slot } of batch) slot.settle(this.#stages.failed(slot.source, failure));
      }
    }
  }
}

function asCornerNetError(error: unknown): CornerNetError {
  return error instanceof CornerNetError ? error : new CornerNetError('ERR_INTERNAL', sentenceOf(error), { cause: error });
}
