// The networks of a detector, one a device: calls go to whichever has the least to do.
import { abortable } from '../abort.js';
import { CornerNetError, fromNative } from '../errors.js';
import type {
  NativeCounters,
  NativeDetector,
  NativeDetectOptions,
  NativeFound,
  NativeInfo,
  NativePicture,
  NativeTimings,
  NativeWork,
} from '../native.js';

interface Replica {
  readonly native: NativeDetector;
  readonly info: NativeInfo;
  calls: number;
  /** False once its device has failed: no further call goes to it. */
  inService: boolean;
}

const beyondFp16 =
  "the network computed numbers beyond fp16 for at least one picture; such pictures are computed again in fp32, which takes longer: precision 'bf16' or 'fp32' spares that";

export class Replicas {
  readonly infos: readonly NativeInfo[];
  readonly #replicas: Replica[];
  readonly #warnings: string[] = [];
  #nextId = 1;

  constructor(loaded: readonly { native: NativeDetector; info: NativeInfo }[]) {
    this.#replicas = loaded.map(({ native, info }) => ({ native, info, calls: 0, inService: true }));
    this.infos = loaded.map(({ info }) => info);
  }

  /** Pictures whose maps are not finite in fp16 are computed again in fp32, which reaches further. */
  async detect(pictures: NativePicture[], options: NativeDetectOptions, signal: AbortSignal | undefined): Promise<NativeFound> {
    const compute = (some: NativePicture[], how: NativeDetectOptions): Promise<NativeFound> =>
      this.#call(signal, (native, id) => native.detect(id, some, how));
    const found = await compute(pictures, options);
    const { notFinite } = found;
    if (notFinite.length === 0 || this.infos[0]?.precision !== 'fp16') return found;
    const again = await compute(
      notFinite.map((i) => pictures[i] as NativePicture),
      { ...options, inFp32: true },
    );
    if (again.notFinite.length < notFinite.length && !this.#warnings.includes(beyondFp16)) this.#warnings.push(beyondFp16);
    notFinite.forEach((i, k) => {
      found.detections[i] = again.detections[k] as Float32Array;
      const [first, second] = [found.timings[i], again.timings[k]];
      if (first && second) found.timings[i] = together(first, second);
    });
    return { ...found, notFinite: again.notFinite.map((k) => notFinite[k] as number) };
  }

  mergeDetections(detections: Float32Array, options: NativeDetectOptions, signal: AbortSignal | undefined): Promise<Float32Array> {
    return this.#call(signal, (native, id) => native.mergeDetections(id, detections, options));
  }

  heads(picture: NativePicture, options: NativeDetectOptions, signal: AbortSignal | undefined): ReturnType<NativeDetector['heads']> {
    return this.#call(signal, (native, id) => native.heads(id, picture, options));
  }

  work(options: { width: number; height: number; views: number; scales?: readonly number[] }): Promise<NativeWork[]> {
    return this.#call(undefined, (native, id) => native.work(id, options));
  }

  /** What befell the devices: that they failed, or what took longer there than it should. */
  get warnings(): readonly string[] {
    return [...this.#warnings, ...this.#replicas.flatMap(({ native }) => native.stats().warnings)];
  }

  /** Devices that were taken out of service. */
  get failedDevices(): readonly string[] {
    return this.#replicas.filter(({ inService }) => !inService).map(({ info }) => info.device);
  }

  /** The sum over the replicas of each counter. */
  get stats(): NativeCounters {
    const total = { pictures: 0, forwards: 0, views: 0, weightsBytes: 0 };
    for (const { native } of this.#replicas) {
      const counters = native.stats();
      for (const key of Object.keys(total) as (keyof NativeCounters)[]) total[key] += counters[key];
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

/** Of a picture that was computed twice. */
function together(first: NativeTimings, second: NativeTimings): NativeTimings {
  return {
    begun: first.begun,
    prepare: first.prepare + second.prepare,
    network: first.network + second.network,
    corners: first.corners + second.corners,
    nms: first.nms + second.nms,
    pictures: Math.max(first.pictures, second.pictures),
  };
}
