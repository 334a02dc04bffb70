// What goes through the queue: chunks, replies and the states of workers.
import type { z } from 'zod';

import { CornerNetError } from '../../lib/errors.js';
import { chunkSchema, parseMessage, replySchemaOf, workerSchema } from '../../lib/jobs/queue/protocol.js';
import { holds } from './property.js';

const chunk = {
  weights: { given: 'digits', sha256: '0'.repeat(64) },
  precision: 'fp32',
  settings: { scoreThreshold: 0.5 },
  entries: [{ path: 'a.jpg' }, { path: 'b.tar/c.jpg', member: { tar: 'b.tar', offset: 512, size: 100 } }],
};
const reply = {
  outcomes: [
    { image: 'a.jpg', width: 4, height: 3, detections: [{ label: 'x', classId: 0, score: 0.5, box: [0, 0, 1, 1] }] },
    { image: 'b.tar/c.jpg', error: { code: 'ERR_INPUT', message: 'no picture' } },
  ],
  classes: ['x'],
};
const worker = { host: 'one', pid: 1, device: 'cpu', pictures: 1, errors: 0, refused: 0, rate: 0.5, time: 1 };

/** Only what none of them takes is refused. */
function readAny(value: unknown, schemas: readonly z.ZodType[]): void {
  const failures = schemas.flatMap((schema) => {
    try {
      parseMessage(schema, value, 'the message');
      return [];
    } catch (error) {
      return [error];
    }
  });
  const worst =
    failures.find((failure) => !(failure instanceof CornerNetError)) ?? (failures.length === schemas.length ? failures[0] : undefined);
  if (worst) throw worst as Error;
}

holds(
  'messages',
  () => [chunk, reply, worker].map((message) => Buffer.from(JSON.stringify(message))),
  async (bytes) => {
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString());
    } catch {
      return; // not the queue's JSON: bullmq refuses it
    }
    await Promise.resolve();
    readAny(value, [chunkSchema, replySchemaOf({ settings: {} }, 2), workerSchema]);
  },
);
