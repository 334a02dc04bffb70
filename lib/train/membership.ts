// Who trains one network together: processes, as torchrun's variables say it, and devices of a process.
import { randomUUID } from 'node:crypto';

import { CornerNetError } from '../errors.js';
import { everyCuda } from '../every-cuda.js';
import { freePort } from '../free-port.js';
import type { NativeMembership } from '../native.js';
import type { Device } from '../options/values.js';

type Environment = Readonly<Record<string, string | undefined>>;

const needed = ['RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'] as const;

function refuse(sentence: string): never {
  throw new CornerNetError('ERR_OPTION', `the environment ${sentence}`);
}

function wholeNumber(environment: Environment, name: string, least: number, most: number): number {
  const text = environment[name] ?? '';
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most)
    refuse(`variable ${name} is ${JSON.stringify(text)}, not a whole number from ${least} to ${most}`);
  return number;
}

/**
 * Undefined when this process trains alone.
 * @param training how many this process began before, as every other did: a store that is kept for them knows those.
 * @throws {CornerNetError} `ERR_OPTION` when only some of the variables are there, or they contradict each other.
 */
export function membershipOf(environment: Environment, seconds: number, training: number): NativeMembership | undefined {
  const isSet = (name: string): boolean => (environment[name] ?? '') !== '';
  // An address and a port alone may be there for something else.
  if (!isSet('RANK') && !isSet('WORLD_SIZE')) return undefined;
  const missing = needed.filter((name) => !isSet(name));
  if (missing.length > 0) {
    const there = needed.filter(isSet);
    refuse(`has ${there.join(' and ')} but no ${missing.join(', no ')}: processes that train together need all of ${needed.join(', ')}`);
  }
  const processes = wholeNumber(environment, 'WORLD_SIZE', 1, 65_536);
  const rank = wholeNumber(environment, 'RANK', 0, 65_535);
  if (rank >= processes) refuse(`says RANK ${rank} of a WORLD_SIZE of ${processes}: ranks count from 0 to ${processes - 1}`);
  const port = wholeNumber(environment, 'MASTER_PORT', 1, 65_535);
  if (processes === 1) return undefined;
  return {
    rank,
    processes,
    address: environment['MASTER_ADDR'] as string,
    port,
    // torchrun keeps the store itself, over every try.
    hosted: environment['TORCHELASTIC_USE_AGENT_STORE'] === 'True',
    prefix: `${environment['TORCHELASTIC_RUN_ID'] ?? ''}/${environment['TORCHELASTIC_RESTART_COUNT'] ?? ''}/${training}`,
    seconds,
  };
}

/**
 * The devices that this process trains on: each process that torchrun starts has the GPU of its number on its machine.
 * @throws {CornerNetError} `ERR_OPTION` when several processes of a machine would all take every GPU; `ERR_DEVICE` when there is none.
 */
export function devicesOf(device: string, environment: Environment): Device[] {
  const isOneOfSeveral = (environment['WORLD_SIZE'] || '1') !== '1';
  if (device === 'cuda' && isOneOfSeveral && environment['LOCAL_RANK']) return [`cuda:${wholeNumber(environment, 'LOCAL_RANK', 0, 1023)}`];
  if (device !== 'cuda:*') return [device as Device];
  if (isOneOfSeveral && (environment['LOCAL_WORLD_SIZE'] || '1') !== '1') {
    refuse("starts several processes on this machine, each of which would take every GPU: with device 'cuda' each has one");
  }
  return everyCuda();
}

/**
 * Every device's place among all that train together. @param outside the process's own.
 * @returns undefined for one that is alone.
 */
export async function membershipsOf(
  devices: number,
  outside: NativeMembership | undefined,
  seconds: number,
): Promise<(NativeMembership | undefined)[]> {
  if (devices === 1) return [outside];
  const { rank, processes, ...meeting } = outside ?? {
    ...{ rank: 0, processes: 1, address: '127.0.0.1', port: await freePort(), hosted: false, prefix: randomUUID(), seconds },
  };
  return Array.from({ length: devices }, (_, i) => ({ ...meeting, rank: rank * devices + i, processes: processes * devices }));
}
