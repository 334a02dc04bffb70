// Which of the processes that train one network together this one is, as torchrun's variables say it.
import { CornerNetError } from '../errors.js';
import type { NativeMembership } from '../native.js';

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
 * @throws {CornerNetError} `ERR_OPTION` when only some of the variables are there, or they contradict each other.
 */
export function membershipOf(environment: Environment, seconds: number): NativeMembership | undefined {
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
    prefix: `${environment['TORCHELASTIC_RUN_ID'] ?? ''}/${environment['TORCHELASTIC_RESTART_COUNT'] ?? ''}`,
    seconds,
  };
}
