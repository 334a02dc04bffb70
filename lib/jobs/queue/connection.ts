// The way to Redis: checked before it is used, so that a wrong address or password is a sentence and not silence.
import { readFileSync } from 'node:fs';

import { Redis, type RedisOptions } from 'ioredis';

import { CornerNetError, sentenceOf } from '../../errors.js';

/** Where the queue is. */
export interface QueueOptions {
  /** `redis://` or, with TLS, `rediss://`, as in `rediss://user:password@host:6379/0`. */
  readonly url: string;
  /** Name of the queue, for several in one Redis. Default 'cornernet'. */
  readonly name?: string | undefined;
  /** Folder that paths in the queue are relative to: nothing outside it is sent or read. Default: the current folder. */
  readonly root?: string | undefined;
  /** PEM file of the authority that signed the server's certificate. Default: the system's. */
  readonly ca?: string | undefined;
}

export const defaultQueueName = 'cornernet';

const connectMs = 5_000;

/** Without its password. */
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

function parseUrl({ url }: QueueOptions): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && ['redis:', 'rediss:'].includes(parsed.protocol) && parsed.hostname !== '') return parsed;
  throw new CornerNetError('ERR_OPTION', 'the queue must be a redis:// or rediss:// URL with a host');
}

function redisOptions(options: QueueOptions): RedisOptions {
  const url = parseUrl(options);
  let ca: Buffer | undefined;
  try {
    ca = options.ca === undefined ? undefined : readFileSync(options.ca);
  } catch (error) {
    throw new CornerNetError('ERR_OPTION', `the authority's file ${options.ca} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(url.pathname.slice(1) || '0'),
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' && { tls: ca ? { ca } : {} }),
    maxRetriesPerRequest: null, // a server that restarts is waited for
  };
}

/**
 * Options for connections to a server that was reached a moment ago.
 * @throws {CornerNetError} `ERR_QUEUE` when it can't be reached or refuses the password or certificate; `ERR_OPTION` for no URL.
 */
export async function reachRedis(options: QueueOptions): Promise<RedisOptions> {
  const redis = redisOptions(options);
  const probe = new Redis({ ...redis, lazyConnect: true, connectTimeout: connectMs, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  let cause: unknown;
  probe.on('error', (error) => (cause ??= error));
  try {
    await probe.connect();
    await probe.ping();
  } catch (error) {
    throw new CornerNetError('ERR_QUEUE', `the queue at ${shown(parseUrl(options))} can't be used: ${sentenceOf(cause ?? error)}`, {
      cause: error,
    });
  } finally {
    probe.disconnect();
  }
  return redis;
}

/** How long an end waits for a server that may be away. */
const goodbyeMs = 3_000;

/** Does the last things with a server, and leaves when it doesn't answer. */
export async function sayGoodbye(last: () => Promise<unknown>, disconnect: () => Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), goodbyeMs)));
  const outcome = await Promise.race([last().catch(() => undefined), late]); // what is left behind, Redis deletes in time
  clearTimeout(timer);
  if (outcome === 'late') void disconnect().catch(() => undefined);
}
