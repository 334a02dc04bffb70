// What a queue holds and who works on it.
import type { Queue } from 'bullmq';

import type { QueueOptions } from '../interfaces.js';
import type { QueueStatus, WorkerState } from '../types.js';
import { checkQueue } from '../options.js';
import { answered, chunksIn, openQueue, queueFailure, sayGoodbye } from './connection.js';
import { livingWorkers } from './presence.js';

/** How long the server may take to answer everything. */
const answersMs = 10_000;

async function ask(queue: Queue): Promise<QueueStatus> {
  const counts = await chunksIn(queue);
  const workers = await livingWorkers(queue);
  // The reasons alone: anybody may have put a damaged chunk there.
  const returned = await queue.getRanges(['delayed', 'failed'], 0, 9);
  const client = await queue.client;
  const reasons = await Promise.all(returned.map((id) => client.hget(queue.toKey(id), 'failedReason')));
  const sum = (of: (worker: WorkerState) => number): number => workers.reduce((total, worker) => total + of(worker), 0);
  return {
    waiting: counts['waiting'] ?? 0,
    active: counts['active'] ?? 0,
    delayed: counts['delayed'] ?? 0,
    failed: counts['failed'] ?? 0,
    workers,
    rate: sum(({ rate }) => rate),
    errors: sum(({ errors }) => errors),
    reasons: [...new Set(reasons.filter((reason) => typeof reason === 'string' && reason !== ''))] as string[],
  };
}

/** @throws {CornerNetError} `ERR_QUEUE`, `ERR_OPTION`. */
export async function queueStatus(options: QueueOptions): Promise<QueueStatus> {
  const { queue } = await openQueue(checkQueue(options), () => undefined); // what fails, the calls below say themselves
  try {
    return await answered(ask(queue), answersMs);
  } catch (error) {
    throw queueFailure(error);
  } finally {
    await sayGoodbye(
      () => queue.close(),
      () => queue.disconnect(),
    );
  }
}
