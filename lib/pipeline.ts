// Many pictures through a detector: decoding runs ahead, neighbours of one padded size share a forward, results keep the order.
import { CornerNetError, sentenceOf } from './errors.js';
import type { ImageSource } from './image.js';
import type { NativePicture } from './native.js';

/** What the pipeline needs of a detector. */
export interface PipelineStages<Result> {
  decode(source: ImageSource): Promise<NativePicture>;
  /** Results in the pictures' order. */
  detect(sources: readonly ImageSource[], pictures: NativePicture[]): Promise<Result[]>;
  failed(source: ImageSource, error: CornerNetError): Result;
  /** How many more calls of detect() would find a device idle. */
  idle(): number;
}

export interface PipelineLimits {
  /** Pictures taken from the source and not yet handed on. */
  readonly concurrency: number;
  readonly batchSize: number;
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
  #pulling = false;
  #exhausted = false;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(sources: Iterable<ImageSource> | AsyncIterable<ImageSource>, stages: PipelineStages<Result>, limits: PipelineLimits) {
    this.#stages = stages;
    this.#limits = limits;
    this.#iterator = Symbol.asyncIterator in sources ? sources[Symbol.asyncIterator]() : sources[Symbol.iterator]();
    this.#fatal = new Promise((_, reject) => (this.#fail = reject));
    this.#fatal.catch(() => undefined); // seen by whoever waits for the next result
  }

  /** Results in the sources' order. Ends by throwing what the source threw, or what stop() was given. */
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
          return;
        } else {
          await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), this.#fatal]);
        }
      }
    } finally {
      this.#stopped = true;
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
        this.#fail(error);
      } finally {
        this.#pulling = false;
        this.#wake();
        this.#dispatch();
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

  /** Hands batches to idle devices: full ones at once, others when nothing that is being read could still fill them. */
  #dispatch(): void {
    while (!this.#stopped && this.#stages.idle() > 0) {
      const batch = this.#nextBatch();
      if (batch.length === 0) return;
      void this.#run(batch).finally(() => this.#dispatch());
    }
  }

  #nextBatch(): Ready<Result>[] {
    const complete = this.#decoding === 0 && !this.#pulling;
    for (const { picture } of this.#ready) {
      const mates = this.#ready.filter((other) => paddedSize(other.picture) === paddedSize(picture)).slice(0, this.#limits.batchSize);
      if (mates.length < this.#limits.batchSize && !complete) continue;
      for (const mate of mates) this.#ready.splice(this.#ready.indexOf(mate), 1);
      return mates;
    }
    return [];
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
