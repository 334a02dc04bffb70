// The other processes of a training: meeting them, agreeing with them, hearing of their end.
import { difference } from '../begun-otherwise.js';
import { CornerNetError } from '../errors.js';
import type { NativeCall } from '../native-calls.js';
import type { NativeMembership, NativeTrainer } from '../native.js';
import { configDifferences, type TrainConfig } from './plan.js';

/** Between two looks, while this process has something of its own to do. */
const lookMs = 2_000;

/** What each process tells the others of what it is to do. */
interface Words {
  readonly config: TrainConfig;
  readonly goesOn: boolean;
}

export class Peers {
  readonly rank: number;
  readonly #trainer: NativeTrainer;
  readonly #call: NativeCall;

  private constructor({ rank }: NativeMembership, trainer: NativeTrainer, call: NativeCall) {
    this.rank = rank;
    this.#trainer = trainer;
    this.#call = call;
  }

  /** @throws {CornerNetError} `ERR_PEER` when not all come in time. */
  static async meet(membership: NativeMembership, trainer: NativeTrainer, call: NativeCall): Promise<Peers> {
    await call(() => trainer.join(membership));
    return new Peers(membership, trainer, call);
  }

  /**
   * That all are to do the same. Gives the first one's `goesOn`.
   * @throws {CornerNetError} `ERR_PEER` saying who differs from rank 0, and in what.
   */
  async agree(config: TrainConfig, goesOn: boolean): Promise<boolean> {
    const words = JSON.stringify({ config, goesOn } satisfies Words);
    const said = await this.#call((id) => this.#trainer.exchange(id, words));
    const [first, ...others] = said.map((text) => JSON.parse(text) as Words);
    if (!first) return goesOn;
    const sentences = others.flatMap((other, i) => {
      const differences = [
        ...configDifferences(first.config, other.config),
        difference('the version of cornernet', first.config.cornernet, other.config.cornernet),
      ].filter((sentence) => sentence !== undefined);
      return differences.length > 0 ? [`rank ${i + 1} was started with other settings than rank 0: ${differences.join('; ')}`] : [];
    });
    if (sentences[0] !== undefined) throw new CornerNetError('ERR_PEER', sentences[0]);
    return first.goesOn;
  }

  /** Runs `work` with a signal that also aborts when another process has ended. */
  async watched<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const lost = new AbortController();
    const look = (): void => void this.#call((id) => this.#trainer.check(id)).catch((error: unknown) => lost.abort(error));
    const timer = setInterval(look, lookMs);
    try {
      return await work(AbortSignal.any([lost.signal, ...(signal ? [signal] : [])]));
    } finally {
      clearInterval(timer);
    }
  }

  /** Tells the others why this process ends, which without a reason would be that it is done; a closed trainer tells nobody. */
  async leave(why: string): Promise<void> {
    await this.#trainer.leave(0, why || 'it was given up').catch(() => undefined);
  }
}
