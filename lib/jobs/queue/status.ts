// What a queue holds and who works on it.
import type { QueueOptions } from '../interfaces.js';
import { parseLine } from '../lines.js';
import type { QueueStatus, WorkerState } from '../types.js';
import { checkQueue } from '../options.js';
import { chunksIn, openQueue } from './connection.js';
import { serverTime } from './presence.js';
import { workerSchema } from './protocol.js';

const aliveMs = 15_000;

/** @throws {CornerNetError} `ERR_QUEUE`, `ERR_OPTION`. */
export async function queueStatus(options: QueueOptions): Promise<QueueStatus> {
  const { queue } = await openQueue(checkQueue(options), () => undefined); // the calls below fail themselves
  try {
    const counts = await chunksIn(queue);
    const client = await queue.client;
    const told = Object.values(await client.hgetall(queue.toKey('presence')));
    const now = await serverTime(client);
    const workers = told
      .map((text) => workerSchema.safeParse(parseLine(text)))
      .flatMap((parsed) => (parsed.success && now - parsed.data.time < aliveMs ? [parsed.data] : []));
    const returned = await queue.getJobs(['delayed', 'failed'], 0, 9);
    const sum = (of: (worker: WorkerState) => number): number => workers.reduce((total, worker) => total + of(worker), 0);
    return {
      waiting: counts['waiting'] ?? 0,
      active: counts['active'] ?? 0,
      delayed: counts['delayed'] ?? 0,
      failed: counts['failed'] ?? 0,
      workers,
      rate: sum(({ rate }) => rate),
      errors: sum(({ errors }) => errors),
      reasons: [...new Set(returned.map(({ failedReason }) => failedReason).filter(Boolean))],
    };
  } finally {
    await queue.close();
  }
}
