// A folder with a Redis server and what uses it: batches, workers, proxies. All of them end with it.
import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Queue } from 'bullmq';

import type { QueueStatus } from '../../lib/jobs/types.js';
import { cornernet, startCornernet } from './child.js';
import { RedisProxy } from './redis-proxy.js';
import { RedisServer } from './redis.js';

export type Running = ReturnType<typeof startCornernet>;

export class QueueBed {
  readonly folder = mkdtempSync(join(tmpdir(), 'cornernet-queue-'));
  /** Where a job may be. */
  readonly job = join(this.folder, 'job');
  redis: RedisServer | undefined;
  readonly #running: Running[] = [];
  readonly #proxies: RedisProxy[] = [];
  readonly #queues: Queue[] = [];

  start(args: readonly string[], env?: NodeJS.ProcessEnv): Running {
    const one = startCornernet(args, env);
    this.#running.push(one);
    return one;
  }

  async server(context: Mocha.Context, flags?: readonly string[], tls?: boolean): Promise<RedisServer> {
    return (this.redis = await RedisServer.start(context, this.folder, flags, tls));
  }

  worker(url: string, root: string, flags: readonly string[] = [], env?: NodeJS.ProcessEnv): Running {
    return this.start(['worker', '--queue', url, '--root', root, '--threads', '1', ...flags], env);
  }

  /** Before the server. */
  async proxy(): Promise<RedisProxy> {
    const proxy = await RedisProxy.start(this.redis?.port as number);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** The queue as BullMQ shows it to anybody. */
  queue(): Queue {
    const queue = new Queue('cornernet', { connection: { port: this.redis?.port as number } });
    this.#queues.push(queue);
    return queue;
  }

  async status(url: string, env = process.env): Promise<QueueStatus> {
    const { code, stdout, stderr } = await cornernet(['status', '--queue', url, '--format', 'json'], { env });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as QueueStatus;
  }

  async end(): Promise<void> {
    for (const { child, ended } of this.#running) {
      child.kill('SIGKILL');
      await ended;
    }
    for (const queue of this.#queues) await queue.close();
    for (const proxy of this.#proxies) await proxy[Symbol.asyncDispose]();
    await this.redis?.down('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
