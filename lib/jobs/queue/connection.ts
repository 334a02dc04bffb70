// The way to Redis: checked before it is used, so that a wrong address or password is a sentence and not silence.
import type { EventEmitter } from 'node:events';

import type { Queue } from 'bullmq';
import type { RedisOptions } from 'ioredis';

import { orLate } from '../../abort.js';
import { CornerNetError, sentenceOf } from '../../errors.js';
import { readRegular } from '../../regular-file.js';
import type { QueueOptions } from '../interfaces.js';
import { MessageSeal } from './seal.js';

const defaultQueueName = 'cornernet';

const connectMs = 5_000;
/** A connection that is owed an answer and gets nothing for so long is dead; BullMQ asks for none that takes longer than ten seconds. */
const silentMs = 15_000;

/** Without its password. */
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

function parseUrl({ url }: QueueOptions): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && ['redis:', 'rediss:'].includes(parsed.protocol) && parsed.hostname !== '' && /^(\/\d*)?$/.test(parsed.pathname))
    return parsed;
  throw new CornerNetError(
    'ERR_OPTION',
    'the queue must be a redis:// or rediss:// URL with a host, and at most the number of a database behind it',
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new CornerNetError('ERR_OPTION', "the queue's user and password must be percent-encoded in its URL: a % is %25", {
      cause: error,
    });
  }
}

function redisOptions(url: URL, authority: string | undefined): RedisOptions {
  let ca: Buffer | undefined;
  try {
    ca = authority === undefined ? undefined : readRegular(authority);
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `the authority's file ${authority} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(url.pathname.slice(1) || '0'),
    ...(url.username !== '' && { username: decoded(url.username) }),
    ...(url.password !== '' && { password: decoded(url.password) }),
    ...(url.protocol === 'rediss:' && { tls: ca ? { ca } : {} }),
    maxRetriesPerRequest: null, // a server that restarts is waited for
    retryStrategy: (times) => Math.min(3_000, 200 * times),
    socketTimeout: silentMs,
    reconnectOnError: ({ message }) => message.includes('READONLY'), // the address may have another server by now
  };
}

type Packages = typeof import('bullmq') & Pick<typeof import('ioredis'), 'Redis'>;

/** They are optional, so nothing loads them before a queue is used. */
async function loadPackages(): Promise<Packages> {
  try {
    const [bullmq, { Redis }] = await Promise.all([import('bullmq'), import('ioredis')]);
    return { ...bullmq, Redis };
  } catch (error) {
    const sentence = 'a queue needs the packages bullmq and ioredis: npm install bullmq ioredis';
    throw new CornerNetError('ERR_QUEUE', sentence, { cause: error });
  }
}

/** What becomes of any failure of the server. */
export function queueFailure(error: unknown, where = 'the queue'): CornerNetError {
  if (error instanceof CornerNetError) return error;
  return new CornerNetError('ERR_QUEUE', `${where} can't be used: ${sentenceOf(error)}`, { cause: error });
}

/** ioredis leaves the timer of a request that a disconnect cuts off: it would keep the process for a while, or cut the next connection off. */
export function clearTimerAtClose(client: unknown): void {
  const timed = client as EventEmitter & { socketTimeoutTimer?: NodeJS.Timeout | undefined };
  timed.on('close', () => {
    clearTimeout(timed.socketTimeoutTimer);
    timed.socketTimeoutTimer = undefined;
  });
}

/** @throws {Error} when the server takes longer; what it then says is dropped. */
export function answered<T>(work: Promise<T>, ms: number): Promise<T> {
  return orLate(work, ms, () => {
    throw new Error(`it does not answer within ${ms / 1000} s`);
  });
}

async function reach(url: URL, redis: RedisOptions, { Redis }: Packages): Promise<void> {
  const probe = new Redis({ ...redis, lazyConnect: true, connectTimeout: connectMs, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  clearTimerAtClose(probe);
  let cause: unknown;
  probe.on('error', (error) => (cause ??= error));
  const greet = async (): Promise<void> => {
    await probe.connect();
    await probe.select(redis.db ?? 0); // else the client works in another database when this one is not there
    await probe.info(); // which BullMQ asks for first, and may be refused
  };
  try {
    await answered(greet(), connectMs);
  } catch (error) {
    throw queueFailure(cause ?? error, `the queue at ${shown(url)}`);
  } finally {
    probe.disconnect();
  }
}

/** A queue whose server was reached a moment ago. */
export interface OpenQueue {
  readonly queue: Queue;
  readonly seal: MessageSeal;
  readonly connection: RedisOptions;
  readonly packages: Packages;
  /** Says what is tried again. */
  readonly onError: (error: Error) => void;
}

/** How long an error that comes again and again is not said again. */
const saidMs = 30_000;

function sayErrors(say: (text: string) => void): OpenQueue['onError'] {
  const said = new Set<string>();
  return (error) => {
    const text = `the queue: ${sentenceOf(error)}; it is tried again`;
    if (said.has(text)) return;
    say(text);
    said.add(text);
    setTimeout(() => said.delete(text), saidMs).unref();
  };
}

/**
 * @param say is told of what is tried again.
 * @throws {CornerNetError} `ERR_QUEUE` when the server can't be reached, refuses the password, certificate or a command, and without the packages;
 * `ERR_OPTION` for no URL, `ERR_INPUT` for an authority or key that can't be read.
 */
export async function openQueue(options: QueueOptions, say: (text: string) => void): Promise<OpenQueue> {
  const url = parseUrl(options);
  const connection = redisOptions(url, options.ca);
  const name = options.name ?? defaultQueueName;
  const seal = new MessageSeal(name, options.keyFile, say);
  const packages = await loadPackages();
  await reach(url, connection, packages);
  const queue = new packages.Queue(name, { connection });
  const onError = sayErrors(say);
  queue.on('error', onError);
  clearTimerAtClose(
    await queue.waitUntilReady().catch(async (error: unknown) => {
      await queue.close();
      throw queueFailure(error, `the queue at ${shown(url)}`);
    }),
  );
  return { queue, seal, connection, packages, onError };
}

/** How many chunks a queue holds in each state. */
export function chunksIn(queue: Queue): Promise<Record<string, number>> {
  return queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
}

/** How long an end waits for a server that may be away. */
const goodbyeMs = 3_000;

/** Does the last things with a server, and leaves when it refuses them or doesn't answer. */
export async function sayGoodbye(last: () => Promise<unknown>, disconnect: () => Promise<unknown>): Promise<void> {
  const leave = (): void => void disconnect().catch(() => undefined);
  await orLate(last().catch(leave), goodbyeMs, leave); // what is left behind, Redis deletes in time
}
