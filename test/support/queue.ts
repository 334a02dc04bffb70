// A folder with a Redis server and the batches and workers that use it, all of which end with it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { QueueStatus } from '../../lib/jobs/types.js';
import { startCornernet } from './batch.js';
import { cornernet } from './child.js';
import { RedisServer } from './redis.js';

export type Running = ReturnType<typeof startCornernet>;

export class QueueBed {
  readonly folder = mkdtempSync(join(tmpdir(), 'cornernet-queue-'));
  /** Where a job may be. */
  readonly job = join(this.folder, 'job');
  redis: RedisServer | undefined;
  readonly #running: Running[] = [];

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

  async status(url: string): Promise<QueueStatus> {
    return JSON.parse((await cornernet(['status', '--queue', url, '--format', 'json'])).stdout) as QueueStatus;
  }

  async end(): Promise<void> {
    for (const { child, ended } of this.#running) {
      child.kill('SIGKILL');
      await ended;
    }
    await this.redis?.down('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
