// BullMQ's worker with patience: others go first at what it gave back, and a server that refuses it is not asked again at once.
import { setTimeout as sleep } from 'node:timers/promises';

import type { Job, Processor, RedisClient, Worker, WorkerOptions } from 'bullmq';

import type { OpenQueue } from './connection.js';
import type { Envelope } from './seal.js';

const longestReturnMs = 30_000;
/** So long after a chunk is back the others have to take it. */
const courtesyMs = 500;
const refusedMs = 1_000;

type TakingOptions = Omit<WorkerOptions, 'connection' | 'settings'>;

export function patientWorker(
  { queue, connection, packages }: OpenQueue,
  work: Processor<unknown, Envelope>,
  options: TakingOptions,
): Worker {
  /** When the chunk is back that was given back last. */
  let backAt = 0;
  const backoffStrategy = (returns: number): number => {
    const delay = Math.min(longestReturnMs, 500 * 2 ** returns);
    backAt = Date.now() + delay;
    return delay;
  };

  class PatientWorker extends packages.Worker<unknown, Envelope> {
    protected override async moveToActive(client: RedisClient, token: string, name?: string): Promise<Job<unknown, Envelope>> {
      const sinceBack = Date.now() - backAt;
      if (Math.abs(sinceBack) < courtesyMs) await sleep(courtesyMs - sinceBack);
      try {
        return await super.moveToActive(client, token, name);
      } catch (error) {
        await sleep(refusedMs); // BullMQ's loop has no pause of its own
        throw error;
      }
    }
  }
  return new PatientWorker(queue.name, work, { ...options, connection, settings: { backoffStrategy } });
}
