// A job or a worker, watched: numbers in Prometheus's text format and a health check, over HTTP on the loopback, while it runs.
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Counter, Gauge, Registry } from 'prom-client';

import { orLate } from '../abort.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import type { Entry } from '../inputs/entry.js';
import { onDisk } from '../inputs/file-names.js';
import type { Seen } from '../inputs/seen.js';
import { packageVersion } from '../package.js';
import { memoryOf } from '../proc.js';
import { RecentRate } from '../recent-rate.js';
import type { PictureOutcome } from './outcome.js';
import type { EngineHealth } from './supervisor.js';

/** Beyond it whoever asks has an answer without the queue's part. */
const queueMs = 2_000;

/** What is watched besides the pictures, each as far as there is one. */
export interface Watched {
  /** The process with the detector, of this machine. */
  readonly health: () => EngineHealth | undefined;
  /** Pictures that have no record yet. */
  readonly pending?: () => number | undefined;
  /** Chunks in the queue by their state. */
  readonly chunks?: () => Promise<Readonly<Record<string, number>>> | undefined;
}

/** 0 where that isn't known of a picture that failed: it may lie where a look hangs. */
async function bytesOf({ path, member, bytes }: Entry, seen: Seen | undefined, outcome: PictureOutcome): Promise<number> {
  const size = member?.size ?? bytes?.length ?? seen?.size ?? ('error' in outcome ? 0 : undefined);
  return size ?? (await stat(onDisk(path)).catch(() => undefined))?.size ?? 0;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #watched: Watched;
  readonly #server: Server;
  #inHand = 0;
  #ended = 0;
  readonly #rate = new RecentRate();
  readonly #done = this.#counter('pictures_done_total', 'Pictures that have a result');
  readonly #failed = this.#counter('pictures_failed_total', 'Pictures that failed, by the code of their error', ['code']);
  readonly #bytes = this.#counter('picture_bytes_total', 'Bytes of the pictures that ended, as they are encoded');

  private constructor(watched: Watched) {
    this.#watched = watched;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    const { health, pending } = watched;
    this.#rate.add(0);
    this.#gauge('pictures_per_second', 'Pictures that ended a second, in the last half minute', () => ({ '': this.#perSecond() }));
    this.#gauge('pictures', 'Pictures in hand, and those of the job that have no record yet', () => ({ in_hand: this.#inHand, pending: pending?.() }), 'state'); // prettier-ignore
    const memory = (): Record<string, number> => ({
      supervisor: process.memoryUsage().rss,
      detector: memoryOf(health()?.processId ?? 0, 'VmRSS'),
    });
    this.#gauge('resident_memory_bytes', 'Memory of this process and of the one with the detector', memory, 'process');
    const devices = (): Record<string, number> => Object.fromEntries((health()?.devices ?? []).map(({ device, inService }) => [device, Number(inService)])); // prettier-ignore
    this.#gauge(
      'device_in_service',
      '1 for a device that computes, 0 for one that failed or whose process is being started',
      devices,
      'device',
    );
    if (watched.chunks) this.#gauge('queue_chunks', 'Chunks of pictures in the queue', () => this.#chunks().catch(() => ({})), 'state');
    this.#gauge('info', 'The version', () => ({ [packageVersion()]: 1 }), 'version');
  }

  /**
   * @param say is told where.
   * @throws {CornerNetError} `ERR_OPTION` when the port can't be had.
   */
  static async serve(port: number, watched: Watched, say: (text: string) => void): Promise<Metrics> {
    const metrics = new Metrics(watched);
    const server = metrics.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(new CornerNetError('ERR_OPTION', `metrics can't be served on port ${port}: ${sentenceOf(error)}`, { cause: error })),
      );
      server.listen(port, '127.0.0.1', resolve);
    });
    server.unref();
    say(`metrics at http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
    return metrics;
  }

  /**
   * Counts what comes of a picture; what it rejects with is no picture's.
   * @param seen what its file was like, where that is known.
   */
  async measured(entry: Entry, outcome: Promise<PictureOutcome>, seen?: Seen): Promise<PictureOutcome> {
    this.#inHand++;
    try {
      const made = await outcome;
      if ('error' in made) this.#failed.inc({ code: made.error.code });
      else this.#done.inc();
      void bytesOf(entry, seen, made).then((bytes) => this.#bytes.inc(bytes));
      this.#rate.add(++this.#ended);
      return made;
    } finally {
      this.#inHand--;
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return new Counter({ name: `cornernet_${name}`, help, labelNames, registers: [this.#registry] });
  }

  /** Values by their label, which are had anew whenever somebody asks. */
  #gauge(
    name: string,
    help: string,
    values: () => Readonly<Record<string, number | undefined>> | Promise<Readonly<Record<string, number>>>,
    label?: string,
  ): void {
    const gauge = new Gauge({
      name: `cornernet_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
      collect: async () => {
        gauge.reset();
        for (const [key, value] of Object.entries(await values())) {
          if (value === undefined) continue;
          if (label === undefined) gauge.set(value);
          else gauge.set({ [label]: key }, value);
        }
      },
    });
  }

  #perSecond(): number {
    this.#rate.add(this.#ended); // the time since the last one counts too
    return this.#rate.perSecond(this.#ended);
  }

  async #chunks(): Promise<Readonly<Record<string, number>>> {
    return orLate(Promise.resolve(this.#watched.chunks?.() ?? {}), queueMs, () => {
      throw new Error('the queue does not answer');
    });
  }

  /** Why this would not do its work, if it would not. */
  async #trouble(): Promise<string | undefined> {
    if (this.#watched.health()?.ready === false) return "the detector's process is being started";
    return this.#chunks().then(
      () => undefined,
      (error: unknown) => `the queue: ${sentenceOf(error)}`,
    );
  }

  async #answer({ method = '', url = '', headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const end = (status: number, type: string, text: string): unknown =>
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(method === 'HEAD' ? undefined : text);
    const [path] = url.split('?');
    // A page from elsewhere whose name leads here must not read it.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(headers.host ?? ''))
      return void end(403, 'text/plain', 'by 127.0.0.1 or localhost only\n');
    if (method !== 'GET' && method !== 'HEAD') return void end(405, 'text/plain', 'GET only\n');
    if (path === '/metrics') return void end(200, this.#registry.contentType, await this.#registry.metrics());
    if (path !== '/health') return void end(404, 'text/plain', '/metrics or /health\n');
    const trouble = await this.#trouble();
    const health = trouble === undefined ? { status: 'ok' } : { status: 'unavailable', reason: trouble };
    end(trouble === undefined ? 200 : 503, 'application/json', `${JSON.stringify(health)}\n`);
  }
}
