// The process that runs the addon for a batch: what kills it, kills no job. It ends with its supervisor.
import { on } from 'node:events';

import type { Detector } from '../detector/detector.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import { AllBlocked, isBlocked } from '../images/deadline.js';
import type { ImageSource } from '../images/source.js';
import { sourceOf, type Entry } from '../inputs/entry.js';
import { loadNative } from '../native.js';
import type { LoadOptions } from '../options/interfaces.js';
import type { ChosenPrecision } from '../options/values.js';
import { listedSource, type Listed } from './listed.js';
import { failedOutcome, type PictureOutcome } from './outcome.js';
import { loadPinned, type PinnedWeights } from './pinned.js';

export type ToChild =
  | { readonly type: 'load'; readonly weights: PinnedWeights; readonly options: LoadOptions }
  | { readonly type: 'detect'; readonly id: number; readonly entry: Entry; readonly listed: Listed | undefined };

export interface ChildInfo {
  readonly device: string;
  readonly precision: ChosenPrecision;
  readonly classes: readonly string[];
  /** LibTorch's version. */
  readonly libtorch: string;
  /** Pictures that keep it busy. */
  readonly window: number;
}

export type FromChild =
  | ({ readonly type: 'ready' } & ChildInfo)
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | { readonly type: 'warning'; readonly text: string }
  | { readonly type: 'devices'; readonly failed: readonly string[] }
  /** A picture is late, and its thread still not back: another process would have all of its threads. */
  | { readonly type: 'blocked' }
  | { readonly type: 'outcome'; readonly id: number; readonly outcome: PictureOutcome };

/** Those that come before they are pulled wait. */
type Messages = AsyncIterableIterator<[ToChild]>;

const graceMs = 3_000;

function send(message: FromChild, sent?: () => void): void {
  process.send?.(message, undefined, undefined, sent);
}

const blocked = { telling: false, certain: false };

/**
 * Decoding that is late most often ends by itself a little later; and from then on nothing is heard of this process: what comes of pictures
 * behind one that found no thread must be told before.
 * @param certain whatever ends by itself: a picture has no outcome from here.
 */
function tellWhenBlocked(certain = false): void {
  blocked.certain ||= certain;
  if (blocked.telling) return;
  blocked.telling = true;
  setTimeout(() => {
    blocked.telling = false;
    if (blocked.certain || isBlocked()) send({ type: 'blocked' });
  }, graceMs);
}

async function serve(detector: Detector, messages: Messages): Promise<void> {
  const order: { id: number; entry: Entry }[] = [];
  const pulled = async function* (): AsyncGenerator<ImageSource, void> {
    for await (const [message] of messages) {
      if (message.type !== 'detect') continue;
      order.push(message);
      const { entry, listed } = message;
      yield listed ? listedSource(entry, listed) : sourceOf(entry);
    }
  };
  const { device, precision, classes } = detector;
  const libtorch = loadNative().buildInfo().libtorchVersion;
  send({ type: 'ready', device, precision, classes, libtorch, window: 2 * detector.concurrency });
  let told = 0;
  for await (const result of detector.detectAll(pulled())) {
    const { id, entry } = order.shift() as { id: number; entry: Entry };
    // A CUDA device that failed stays failed for its process: another one starts anew.
    if ('error' in result && result.error.code === 'ERR_DEVICE') throw result.error;
    if ('error' in result && result.error instanceof AllBlocked) {
      tellWhenBlocked(true);
      continue;
    }
    const outcome: PictureOutcome = 'error' in result ? failedOutcome(entry, result.error) : { ...result, image: entry.path };
    send({ type: 'outcome', id, outcome });
    if (isBlocked()) tellWhenBlocked();
    const { warnings, failedDevices } = detector.stats;
    if (warnings.length === told) continue;
    for (const text of warnings.slice(told)) send({ type: 'warning', text });
    send({ type: 'devices', failed: failedDevices });
    told = warnings.length;
  }
}

/** At once: nothing in here is worth keeping, and an orderly end would wait for threads that may be blocked. */
function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

async function run(messages: Messages): Promise<void> {
  try {
    for await (const [message] of messages) {
      if (message.type === 'load') await serve(await loadPinned(message.weights, message.options), messages);
    }
  } catch (error) {
    const code = error instanceof CornerNetError ? error.code : 'ERR_INTERNAL';
    send({ type: 'failed', code, message: sentenceOf(error) }, end);
  }
}

function main(): void {
  // Ctrl-C and a service's stop reach the whole group; what becomes of it is the supervisor's to say.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
  process.on('disconnect', end);
  process.on('exit', end);
  void run(on(process, 'message') as Messages);
}

main();
