// The command line's flags of a detector's options, derived from their table.
import { Option, type Command } from 'commander';

import { CornerNetError } from '../errors.js';
import { shown } from '../validation.js';
import type { LoadOptions } from './interfaces.js';
import { callTable, loadTable, softNmsTable, tilesTable, type OptionRow, type OptionTable } from './table.js';

/** As commander hands them over, each under its option's name; those of softNms and tiles (not listed here) have names of their own. */
export type DetectorFlags = Omit<LoadOptions, 'device' | 'classes' | 'softNms' | 'tiles'> & {
  readonly weights?: string;
  readonly device?: readonly string[] | undefined;
  readonly classes?: readonly string[];
};

interface Flag {
  /** As the API calls it. */
  readonly option: string;
  /** camelCase. */
  readonly name: string;
  readonly row: OptionRow;
}

function flagsOf(table: OptionTable, nameOf = (option: string): string => option): Flag[] {
  return Object.entries(table)
    .filter(([, row]) => row.flag !== undefined)
    .map(([option, row]) => ({ option, name: nameOf(option), row }));
}

const after = (word: string, option: string): string => `${word}${option.charAt(0).toUpperCase()}${option.slice(1)}`;
/** Options that are objects: each of theirs is a flag. */
const groups = {
  softNms: flagsOf(softNmsTable, (option) => after('softNms', option)),
  tiles: flagsOf(tilesTable, (option) => (option === 'size' ? 'tiles' : after('tile', option))),
};
const plainFlags = [...flagsOf(loadTable), ...flagsOf(callTable)];
const detectorFlags = [...plainFlags, ...Object.values(groups).flat()];

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A number, or a refusal that names the flag. */
export function numberOf(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value)) throw new CornerNetError('ERR_OPTION', `${flag} takes a number, not ${shown(text)}`);
    return value;
  };
}

/** An option whose value is a number. */
export function numeric(flags: string, description: string): Option {
  return new Option(flags, description).argParser(numberOf(flags.split(' ')[0] ?? flags));
}

const listOf = (text: string): string[] => text.split(',').map((item) => item.trim());

function commandOptions({ name, row }: Flag): Option[] {
  const { flag, about, standard, group } = row;
  const dash = `--${dashed(name)}`;
  const described = standard === '' ? about : `${about} (default: ${standard})`;
  const switches = {
    on: [new Option(dash, described)],
    off: [new Option(`--no-${dashed(name)}`, `turn off: ${about} (default: ${standard})`)],
    either: [new Option(dash, described), new Option(`--no-${dashed(name)}`, 'turn that off')],
  };
  if (flag === 'on' || flag === 'off' || flag === 'either') return switches[flag].map((option) => option.helpGroup(`${group}:`));
  const number = numberOf(dash);
  const parsers: Record<string, (text: string) => unknown> = {
    number,
    'number|auto': (text: string) => (text === 'auto' ? text : number(text)),
    list: listOf,
    numbers: (text: string) => listOf(text).map(number),
    text: (text: string) => text,
  };
  const kind = flag ?? 'text';
  const placeholder = row.placeholder ?? (kind.startsWith('number') ? 'n' : kind);
  const flags = `${row.short === undefined ? '' : `-${row.short}, `}${dash} <${placeholder}>`;
  const option = new Option(flags, described).helpGroup(`${group}:`).makeOptionMandatory(row.required === true && standard === '');
  option.parseArg = (text) => (row.parse ?? parsers[kind])?.(text) as never;
  return [option];
}

/** Which weights: the one option that every command that detects has. */
export function weightsOption(): Option {
  return new Option('-w, --weights <id|file>', 'weights: an id of `cornernet weights list` or an mmdetection .pth (default: the digits)');
}

/** Adds the flags of all of a detector's options, or of those that are named. */
export function addDetectorOptions(command: Command, names?: readonly (keyof LoadOptions)[]): Command {
  if (!names) command.addOption(weightsOption());
  for (const flag of detectorFlags.filter(({ name }) => !names || (names as readonly string[]).includes(name))) {
    for (const option of commandOptions(flag)) command.addOption(option);
  }
  return command;
}

/** Adds the flags of a table, but for those that are named. */
export function addTableOptions(command: Command, table: OptionTable, without: readonly string[] = []): Command {
  for (const flag of flagsOf(table).filter(({ name }) => !without.includes(name))) {
    for (const option of commandOptions({ ...flag, name: flag.row.flagName ?? flag.name })) command.addOption(option);
  }
  return command;
}

/** The options of a table that the flags give. */
export function tableOptionsOf(table: OptionTable, flags: object): Record<string, unknown> {
  const all = flags as Readonly<Record<string, unknown>>;
  const taken = Object.entries(table).filter(([, { flag }]) => flag !== undefined);
  return given(Object.fromEntries(taken.map(([name, { flagName }]) => [name, all[flagName ?? name]])));
}

/** Only what was given: the API has the defaults. */
export function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function valueOf({ name, row }: Flag, flags: Readonly<Record<string, unknown>>): unknown {
  const value = flags[name];
  if (row.flag === 'off') return value === false ? false : undefined; // commander's default of a --no- option is true
  if (name === 'device' && Array.isArray(value) && value.length === 1) return value[0] as unknown;
  return value;
}

/** The options that the flags give; their values are checked where the API checks them. */
export function loadOptionsOf(flags: DetectorFlags): LoadOptions {
  const all = flags as Readonly<Record<string, unknown>>;
  const values = plainFlags.map((flag) => [flag.option, valueOf(flag, all)] as const);
  const objects = Object.entries(groups).map(([option, members]) => {
    const object = given(Object.fromEntries(members.map((flag) => [flag.option, all[flag.name]])));
    return [option, Object.keys(object).length > 0 ? object : undefined] as const;
  });
  return given(Object.fromEntries([...values, ...objects]));
}
