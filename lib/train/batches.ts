// The batches of a run in their order, decoded and prepared ahead of the network.
import { sentenceOf } from '../errors.js';
import type { NativeSample } from '../native.js';
import { permutation, seedOf } from '../random.js';
import { decodeSample, type DecodedSample, type TrainPicture } from './samples.js';

/** Batches that are decoded and prepared while the network works. */
const ahead = 2;

interface PictureNote {
  readonly name: string;
  readonly reason: string;
}

export interface TrainBatch {
  /** Of the run, from 0. */
  readonly iteration: number;
  readonly samples: readonly NativeSample[];
  readonly names: readonly string[];
  /** Pictures that could not be read, and why. */
  readonly failures: readonly PictureNote[];
  /** Those whose annotations state another size. */
  readonly resized: readonly PictureNote[];
}

export interface BatchOrder {
  /** Of the whole batch. */
  readonly batchSize: number;
  readonly seed: number;
}

/** Which part of each batch is this process's. */
export interface BatchPart {
  readonly rank: number;
  readonly processes: number;
}

/**
 * Positions of the pictures of each step. Each epoch has an order of its own; its last batch is filled up with its first pictures, as mmengine's
 * sampler does.
 */
export function batchOrder(pictures: number, { batchSize, seed }: BatchOrder): (iteration: number) => number[] {
  const length = Math.ceil(pictures / batchSize);
  let known: { readonly epoch: number; readonly order: Uint32Array } | undefined;
  return (iteration) => {
    const epoch = Math.floor(iteration / length);
    if (known?.epoch !== epoch) known = { epoch, order: permutation(pictures, seed, epoch) };
    const { order } = known;
    const first = (iteration % length) * batchSize;
    return Array.from({ length: batchSize }, (_, i) => order[(first + i) % pictures] as number);
  };
}

async function read(
  chosen: readonly TrainPicture[],
  classIds: ReadonlyMap<string, number>,
  seed: number,
  iteration: number,
  first: number,
): Promise<TrainBatch> {
  const decoded = await Promise.all(
    chosen.map((picture): Promise<DecodedSample | { reason: string }> =>
      decodeSample(picture, classIds).catch((error: unknown) => ({ reason: sentenceOf(error) })),
    ),
  );
  const samples: NativeSample[] = [];
  const names: string[] = [];
  const failures: PictureNote[] = [];
  const resized: PictureNote[] = [];
  decoded.forEach((one, i) => {
    const name = chosen[i]?.name ?? '';
    if ('reason' in one) failures.push({ name, reason: one.reason });
    else {
      const { picture, boxes } = one;
      // By its place in the run: whatever else is read, and by however many threads, it is augmented so.
      samples.push({ picture, boxes, seed: seedOf(seed, iteration, first + i) });
      names.push(name);
      if (one.resized !== undefined) resized.push({ name, reason: one.resized });
    }
  });
  return { iteration, samples, names, failures, resized };
}

/** A batch, and what comes of its samples, which are let go of: it is awaited only when its turn has come, and may be rejected before. */
export type AheadBatch<T> = Omit<TrainBatch, 'samples'> & { readonly prepared: Promise<T> };

/**
 * This process's part of the batches from iteration `from` up to but not `to`.
 * @param prepare what is made of a batch as soon as it is read, ahead of its turn
 */
export async function* batchesOf<T>(
  pictures: readonly TrainPicture[],
  classIds: ReadonlyMap<string, number>,
  order: BatchOrder,
  { rank, processes }: BatchPart,
  from: number,
  to: number,
  prepare: (batch: TrainBatch) => Promise<T>,
): AsyncGenerator<AheadBatch<T>, void> {
  const positions = batchOrder(pictures.length, order);
  const reading: Promise<AheadBatch<T>>[] = [];
  const size = order.batchSize / processes;
  const first = rank * size;
  let next = from;
  const begin = (): void => {
    if (next >= to) return;
    const mine = positions(next).slice(first, first + size);
    const chosen = mine.map((at) => pictures[at] as TrainPicture);
    const batch = read(chosen, classIds, order.seed, next++, first);
    reading.push(
      batch.then(({ samples, ...rest }) => {
        const prepared = prepare({ samples, ...rest });
        prepared.catch(() => undefined);
        return { ...rest, prepared };
      }),
    );
  };
  for (let i = 0; i < ahead; i++) begin();
  for (let batch = reading.shift(); batch; batch = reading.shift()) {
    const ready = await batch;
    begin();
    yield ready;
  }
}
