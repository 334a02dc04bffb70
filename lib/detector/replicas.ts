// The networks of a detector, one a device: calls go to whichever has the least to do.
import { abortable } from '../abort.js';
import { CornerNetError, fromNative } from '../errors.js';
import type {
  NativeDetector,
  NativeDetectOptions,
  NativeFound,
  NativeHeads,
  NativeInfo,
  NativePicture,
  NativeStats,
  NativeWork,
} from '../native.js';

interface Replica {
  readonly native: NativeDetector;
  readonly info: NativeInfo;
  calls: number;
  /** False once its device has failed: no further call goes to it. */
  inService: boolean;
}

export class Replicas {
  readonly infos: readonly NativeInfo[];
  readonly #replicas: Replica[];
  readonly #warnings: string[] = [];
  #nextId = 1;

  constructor(loaded: readonly { native: NativeDetector; info: NativeInfo }[]) {
    this.#replicas = loaded.map(({ native, info }) => ({ native, info, calls: 0, inService: true }));
    this.infos = loaded.map(({ info }) => info);
  }

  detect(pictures: NativePicture[], options: NativeDetectOptions, signal: AbortSignal | undefined): Promise<NativeFound> {
    return this.#call(signal, (native, id) => native.detect(id, pictures, options));
  }

  mergeDetections(detections: Float32Array, options: NativeDetectOptions, signal: AbortSignal | undefined): Promise<Float32Array> {
    return this.#call(signal, (native, id) => native.mergeDetections(id, detections, options));
  }

  heads(picture: NativePicture, options: NativeDetectOptions, signal: AbortSignal | undefined): Promise<NativeHeads> {
    return this.#call(signal, (native, id) => native.heads(id, picture, options));
  }

  work(options: { width: number; height: number; views: number; scales?: readonly number[] }): Promise<NativeWork[]> {
    return this.#call(undefined, (native, id) => native.work(id, options));
  }

  /** What befell the devices, oldest first; at most one sentence a replica. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** Devices that were taken out of service. */
  get failedDevices(): readonly string[] {
    return this.#replicas.filter(({ inService }) => !inService).map(({ info }) => info.device);
  }

  /** The sum over the replicas of each counter. */
  get stats(): NativeStats {
    const total = { pictures: 0, forwards: 0, views: 0, weightsBytes: 0 };
    for (const { native } of this.#replicas) {
      for (const [key, value] of Object.entries(native.stats()) as [keyof NativeStats, number][]) total[key] += value;
    }
    return total;
  }

  async close(): Promise<void> {
    await Promise.all(this.#replicas.map(({ native }) => native.close()));
  }

  async #call<T>(signal: AbortSignal | undefined, start: (native: NativeDetector, id: number) => Promise<T>): Promise<T> {
    for (;;) {
      const replica = this.#inService().reduce((least, other) => (other.calls < least.calls ? other : least));
      try {
        return await this.#callOn(replica, signal, start);
      } catch (error) {
        if (!(error instanceof CornerNetError && error.code === 'ERR_DEVICE') || !this.#retire(replica, error)) throw error;
        signal?.throwIfAborted();
      }
    }
  }

  async #callOn<T>(
    replica: Replica,
    signal: AbortSignal | undefined,
    start: (native: NativeDetector, id: number) => Promise<T>,
  ): Promise<T> {
    const id = this.#nextId++;
    replica.calls++;
    const running = fromNative(start(replica.native, id)).finally(() => replica.calls--);
    running.catch(() => undefined); // after an abort nobody else waits for it
    return abortable(
      signal,
      () => running,
      () => replica.native.cancel(id),
    );
  }

  #inService(): Replica[] {
    return this.#replicas.filter(({ inService }) => inService);
  }

  /** Whether another replica can take over. The last one stays: each of its calls then says for itself what is wrong. */
  #retire(replica: Replica, error: CornerNetError): boolean {
    if (!replica.inService) return true;
    if (this.#inService().length === 1) return false;
    replica.inService = false;
    const number = this.#replicas.indexOf(replica);
    this.#warnings.push(`replica ${number} on ${replica.info.device} was taken out of service: ${error.message}`);
    return true;
  }
}
