// What every measurement in bench/ shares: the command line, candidates that take turns, the watch over the machine, and one report.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { watchMachine } from '../lib/bench/disturbance.js';
import { describeMachine } from '../lib/bench/machine.js';
import { reportHead, type Disturbance, type Peak, type Ratio, type TurnsReport, type TurnsResult } from '../lib/bench/schema.js';
import { median } from '../lib/bench/statistics.js';
import { countedCalls, toSeries, type Watch } from '../lib/bench/windows.js';
import { publish } from '../lib/commands/bench.js';

/** What a turn measured: the seconds that were inside the clock, and more by names that end in their unit. */
export type Turn = Readonly<Record<string, number>> & { readonly seconds: number };

export interface Candidate {
  /** Of what runs, known after a turn; left out for this package. */
  version?: string | undefined;
  readonly turn: () => Promise<Turn>;
  readonly close?: () => Promise<void>;
}

/** A ratio to report: of 'ours' to the first of the peers that was measured. */
export type Against = Pick<Ratio, 'what' | 'ours'> & { readonly peers: readonly string[]; readonly goal?: number | undefined };

export interface Case {
  /** What must be equal for figures to be compared, besides the case's name. */
  readonly setting: string;
  /** By name; each is made, outside the clock, before the first round. One that can't be is reported, unless it is 'ours'. */
  readonly candidates: Readonly<Record<string, () => Candidate | Promise<Candidate>>>;
  readonly against?: readonly Against[];
}

interface Bench<Option extends string> {
  readonly kind: TurnsReport['kind'];
  readonly insideTheClock: string;
  /** Of the command line, with their defaults; beside --rounds, --cases, --json and --html. */
  readonly options: Readonly<Record<Option, string>>;
  readonly rounds: number;
  /** Rounds that don't count. */
  readonly warmUpRounds: number;
  /** Disturbed rounds are not measured again. */
  readonly onceOnly?: boolean;
  /** @param folder for files, removed at the end. */
  readonly prepare: (values: Readonly<Record<Option, string>>, folder: string) => Promise<Prepared> | Prepared;
}

interface Prepared {
  readonly cases: Readonly<Record<string, () => Promise<Case> | Case>>;
  /** 'cpu' (default) or 'cuda:N'. */
  readonly device?: string;
  readonly peaks?: readonly Peak[];
  /** Throws when what was measured must not be. */
  readonly check?: () => void;
}

/** A round's turns, by candidate, and what the machine did besides. */
interface Round {
  readonly turns: ReadonlyMap<string, Turn>;
  readonly disturbance: Disturbance;
}

interface Rounds {
  /** So many undisturbed ones, if there are by the `most`. */
  readonly rounds: number;
  readonly most: number;
  readonly warmUpRounds: number;
}

/** Rounds of one turn for each candidate. */
export async function takeTurns(
  candidates: ReadonlyMap<string, Pick<Candidate, 'turn'>>,
  { rounds, most, warmUpRounds }: Rounds,
  watch: Watch,
  tell: (said: string) => void,
): Promise<Round[]> {
  const taken: Round[] = [];
  for (let round = -warmUpRounds, clean = 0; clean < rounds && round < most; round++) {
    const end = await watch();
    const turns = new Map<string, Turn>();
    for (const [name, { turn }] of candidates) turns.set(name, await turn());
    const disturbance = await end();
    tell(`round ${round + 1}: ${[...turns].map(([name, { seconds }]) => `${name} ${seconds.toFixed(3)} s`).join(', ')}`);
    if (round < 0) continue;
    taken.push({ turns, disturbance });
    if (disturbance.reasons.length === 0) clean++;
  }
  return taken;
}

/** A candidate's figures over the rounds that count: the undisturbed ones, or all where none was. */
export function figuresOf(name: string, rounds: readonly Round[], warmUpRounds: number): Pick<TurnsResult, 'seconds' | 'figures'> {
  const turns = rounds.map((round) => round.turns.get(name) as Turn);
  const windows = rounds.map(({ disturbance }, i) => {
    const { seconds } = turns[i] as Turn;
    return { window: { seconds, median: seconds, count: 1, disturbance }, values: [seconds] };
  });
  const seconds = toSeries(windows, { stableWithin: 0.05 }, warmUpRounds);
  const counted = countedCalls(seconds).map((call) => turns[call - warmUpRounds] as Turn);
  const names = Object.keys(turns[0] ?? {}).filter((figure) => figure !== 'seconds');
  return { seconds, figures: Object.fromEntries(names.map((figure) => [figure, counted.map((turn) => turn[figure] as number)])) };
}

/** Speeds round by round, so that what disturbs the machine disturbs both; memory by the medians. */
export function ratioOf(name: string, { what, ours, peers, goal }: Against, results: readonly Omit<TurnsResult, 'setting'>[]): Ratio {
  const find = (candidate: string) => results.find((result) => result.case === name && result.candidate === candidate);
  const peer = peers.find((one) => find(one)) ?? peers[0] ?? '';
  const named = { case: name, what, ours, peer, goal: goal ?? null };
  const [our, their] = [find(ours), find(peer)];
  const memory = (one: typeof our): number => median(one?.figures['peakBytes'] ?? []);
  const speeds = their?.seconds.values.map((seconds, round) => seconds / (our?.seconds.values[round] ?? NaN)) ?? [];
  const ratio = what === 'speed' ? median(speeds) : memory(our) / memory(their);
  if (!(ratio > 0)) return { ...named, ratio: null, met: null };
  return { ...named, ratio, met: goal === undefined ? null : what === 'speed' ? ratio >= goal : ratio <= goal };
}

type Measured = Pick<TurnsReport, 'results' | 'ratios' | 'missing'>;

/** Makes the candidates, lets them take turns, and closes them. */
export async function runCase(name: string, one: Case, setting: Rounds, watch: Watch, tell: (said: string) => void): Promise<Measured> {
  const candidates = new Map<string, Candidate>();
  const missing: TurnsReport['missing'][number][] = [];
  try {
    for (const [candidate, make] of Object.entries(one.candidates)) {
      tell(`${name}: ${candidate}`);
      try {
        candidates.set(candidate, await make());
      } catch (error) {
        if (candidate.startsWith('ours')) throw error;
        missing.push({ case: name, candidate, reason: (error as Error).message });
      }
    }
    const rounds = await takeTurns(candidates, setting, watch, (said) => tell(`${name}: ${said}`));
    const results = [...candidates].map(([candidate, { version }]) => {
      return {
        case: name,
        setting: one.setting,
        candidate,
        version: version ?? null,
        ...figuresOf(candidate, rounds, setting.warmUpRounds),
      };
    });
    return { results, ratios: (one.against ?? []).map((against) => ratioOf(name, against, results)), missing };
  } finally {
    for (const { close } of candidates.values()) await close?.();
  }
}

export function wholeNumber(flag: string, text: string, least = 1): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new Error(`--${flag} takes a whole number of at least ${least}, not '${text}'`);
  return value;
}

/** Measures, prints, and writes what --json and --html name. Errors end the program with exit code 1. */
export async function run<Option extends string>(bench: Bench<Option>): Promise<void> {
  const text = (value?: string) => ({ type: 'string' as const, ...(value !== undefined && { default: value }) });
  const own = Object.fromEntries(Object.entries<string>(bench.options).map(([name, value]) => [name, text(value)]));
  const { values } = parseArgs({
    options: { ...own, rounds: text(String(bench.rounds)), cases: text(), json: text(), html: text() },
  }) as { values: Record<Option, string> & { rounds: string; cases?: string; json?: string; html?: string } };
  const folder = await mkdtemp(join(tmpdir(), `cornernet-${bench.kind}-`));
  let check: Prepared['check'];
  const measure = async (): Promise<TurnsReport> => {
    const rounds = wholeNumber('rounds', values.rounds);
    const setting = { rounds, most: bench.onceOnly === true ? rounds : 2 * rounds, warmUpRounds: bench.warmUpRounds };
    const machine = await describeMachine();
    const { cases, device = 'cpu', peaks = [], ...prepared } = await bench.prepare(values, folder);
    check = prepared.check;
    const measured: Measured[] = [];
    for (const name of values.cases?.split(',') ?? Object.keys(cases)) {
      const one = await cases[name]?.();
      if (!one) throw new Error(`there is no case '${name}' but ${Object.keys(cases).join(', ')}`);
      measured.push(await runCase(name, one, setting, () => watchMachine(device), console.error));
    }
    const all = <Key extends keyof Measured>(key: Key) => measured.flatMap<unknown>((one) => one[key]) as unknown as Measured[Key];
    const found = { peaks, results: all('results'), ratios: all('ratios'), missing: all('missing') };
    return { ...reportHead(), kind: bench.kind, machine, method: { insideTheClock: bench.insideTheClock, rounds }, ...found };
  };
  try {
    await publish(values, [], measure);
    check?.();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
