// Messages of a queue as texts, signed when both sides share a key: for one queue, one direction and one chunk of one job.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { statSync } from 'node:fs';

import { z } from 'zod';

import { CornerNetError, sentenceOf } from '../../errors.js';
import { readRegular } from '../../regular-file.js';
import { parseLine } from '../lines.js';
import { parseMessage } from './protocol.js';

const shortestKey = 16;

const envelopeSchema = z.strictObject({
  /** JSON, as it was signed: no two ways to write it down. */
  text: z.string(),
  /** HMAC-SHA256. */
  mac: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});

export type Envelope = z.infer<typeof envelopeSchema>;

/** What a message is: a batch's chunk, or a worker's reply to it. */
type Direction = 'chunk' | 'reply';

function readKey(file: string, say: (text: string) => void): Buffer {
  try {
    const key = Buffer.from(readRegular(file).toString('latin1').trimEnd(), 'latin1'); // an editor's last line break is no part of it
    if (key.length < shortestKey) throw new Error(`it has ${key.length} bytes, a key has at least ${shortestKey}`);
    if ((statSync(file).mode & 0o007) !== 0) say(`the queue's key ${file} is open to everybody on this machine: chmod o= it`);
    return key;
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `the queue's key ${file} can't be used: ${sentenceOf(error)}`, { cause: error });
  }
}

export class MessageSeal {
  readonly #queue: string;
  readonly #key: Buffer | undefined;

  /** @throws {CornerNetError} `ERR_INPUT` when the key's file can't be read or is too short. */
  constructor(queue: string, keyFile: string | undefined, say: (text: string) => void) {
    this.#queue = queue;
    this.#key = keyFile === undefined ? undefined : readKey(keyFile, say);
  }

  /** @param id of the chunk, which is no other's: it has its job's in it. */
  close(direction: Direction, id: string, message: object): Envelope {
    const text = JSON.stringify(message);
    return this.#key ? { text, mac: this.#mac(this.#key, direction, id, text).toString('hex') } : { text };
  }

  /**
   * The message, which is yet to be validated.
   * @param longest characters.
   * @throws {CornerNetError} `ERR_QUEUE` when it is too long, or not signed as it should be.
   */
  open(direction: Direction, id: string, envelope: unknown, longest: number): unknown {
    const what = direction === 'chunk' ? 'a chunk' : 'it';
    const { text, mac } = parseMessage(envelopeSchema, envelope, what);
    if (text.length > longest) throw new CornerNetError('ERR_QUEUE', `${what} has ${text.length} characters, more than ${longest}`);
    if (this.#key && mac === undefined) {
      throw new CornerNetError('ERR_QUEUE', `${what} is not signed, and here is a key: give the other side the same --queue-key-file`);
    }
    if (!this.#key && mac !== undefined) {
      throw new CornerNetError('ERR_QUEUE', `${what} is signed, and here is no key: name it with --queue-key-file`);
    }
    if (this.#key && mac !== undefined && !timingSafeEqual(Buffer.from(mac, 'hex'), this.#mac(this.#key, direction, id, text))) {
      throw new CornerNetError('ERR_QUEUE', `${what} is signed with another key, or was not meant for here`);
    }
    return parseLine(text);
  }

  #mac(key: Buffer, direction: Direction, id: string, text: string): Buffer {
    return createHmac('sha256', key)
      .update(JSON.stringify(['cornernet', direction, this.#queue, id, text]))
      .digest();
  }
}
