// What else happened on the machine while something was measured: stolen time, other processes, a throttled GPU.
import { readdir } from 'node:fs/promises';

import { readOrNothing, statOf } from '../proc.js';
import { askGpus } from './machine.js';
import type { Disturbance } from './schema.js';

/** Seconds since boot, over all cores. */
interface CpuTimes {
  readonly busy: number;
  readonly idle: number;
  readonly steal: number;
}

/** A window that lost more than so much CPU time to others is marked. */
const tolerated = { steal: 0.02, others: 0.05 } as const;

/**
 * NVIDIA's bits for clocks that something holds down. Idling (1), an application's own setting (2) and the power limit (4) are none: what is measured
 * draws that power itself, and `gpuMhz` says what clock it got.
 */
const slowdowns: readonly (readonly [number, string])[] = [
  [0x08, 'hardware slowdown'],
  [0x20, 'thermal slowdown'],
  [0x40, 'hardware thermal slowdown'],
  [0x80, 'power brake'],
];

/** The first line of /proc/stat: jiffies (1/100 s) as user, nice, system, idle, iowait, irq, softirq, steal. */
export function parseCpuTimes(stat: string): CpuTimes | undefined {
  const match = /^cpu\s+([\d ]+)$/m.exec(stat);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = (match?.[1] ?? '').split(' ').map(Number);
  if (!match) return undefined;
  return { busy: (user + nice + system + irq + softirq) / 100, idle: (idle + wait) / 100, steal: steal / 100 };
}

/** What happened between two readings of which `ours` seconds of CPU time were the measured processes' own. */
export function cpuDisturbance(before: CpuTimes | undefined, after: CpuTimes | undefined, ours: number): Disturbance {
  if (!before || !after) return { steal: null, others: null, gpuMhz: null, reasons: [] };
  const [busy, idle, stolen] = [after.busy - before.busy, after.idle - before.idle, after.steal - before.steal];
  const all = Math.max(busy + idle + stolen, 1e-9);
  const steal = stolen / all;
  const others = Math.max(0, busy - ours) / all;
  const reasons: string[] = [];
  if (steal > tolerated.steal) reasons.push(`stolen time ${(100 * steal).toFixed(0)}%`);
  if (others > tolerated.others) reasons.push(`other processes ${(100 * others).toFixed(0)}%`);
  return { steal, others, gpuMhz: null, reasons };
}

interface GpuState {
  readonly mhz: number | null;
  readonly reasons: string[];
}

const gpuStateQuery = 'uuid,name,clocks.sm,clocks_throttle_reasons.active';

/**
 * Of CUDA's device `index`. nvidia-smi lists all GPUs by their place on the bus, CUDA those that it is left, by default the fastest first: where that may
 * be another order, nothing is said.
 * @param lines nvidia-smi's of `gpuStateQuery`.
 */
export function parseGpuState(
  lines: readonly string[],
  index: number,
  { CUDA_VISIBLE_DEVICES: left, CUDA_DEVICE_ORDER: order }: NodeJS.ProcessEnv = process.env,
): GpuState {
  const gpus = lines.map((line) => line.split(', '));
  const named = left === undefined ? String(index) : (left.split(',')[index] ?? '').trim();
  const inOrder = order === 'PCI_BUS_ID' || new Set(gpus.map(([, name]) => name)).size === 1;
  const byPlace = /^\d+$/.test(named) && inOrder ? gpus[Number(named)] : undefined;
  const [, , mhz = '', active = ''] = (named.startsWith('GPU-') ? gpus.find(([uuid]) => uuid?.startsWith(named)) : byPlace) ?? [];
  const bits = Number(active);
  const reasons = Number.isNaN(bits) ? [] : slowdowns.filter(([bit]) => bits & bit).map(([, name]) => `GPU: ${name}`);
  return { mhz: /^\d/.test(mhz) ? Number(mhz) : null, reasons };
}

function readCpuTimes(): CpuTimes | undefined {
  return parseCpuTimes(readOrNothing('/proc/stat'));
}

/** CPU seconds of a process and of all that it started, those that have ended included. */
export async function cpuSecondsOf(process: number): Promise<number> {
  const jiffies = statOf(process).slice(11, 15); // utime, stime, and those of waited-for children
  const tasks = await readdir(`/proc/${process}/task`).catch(() => []);
  const lists = tasks.map((task) => readOrNothing(`/proc/${process}/task/${task}/children`));
  const children = await Promise.all((lists.join(' ').match(/\d+/g) ?? []).map((child) => cpuSecondsOf(Number(child))));
  return [...jiffies.map((count) => Number(count) / 100), ...children].reduce((sum, seconds) => sum + seconds, 0);
}

/** So often at most is measured what others disturb. */
const mostAttempts = 3;

/** What `body` measures while nobody disturbs it; after three disturbed attempts the last one's, with the reasons. */
export async function undisturbed<T>(device: string, body: () => Promise<T>): Promise<{ measured: T; reasons: readonly string[] }> {
  for (let attempt = 1; ; attempt++) {
    const end = await watchMachine(device);
    const measured = await body();
    const { reasons } = await end();
    if (reasons.length === 0 || attempt === mostAttempts) return { measured, reasons };
  }
}

/** Begins to watch; the returned function ends it. `device` is 'cpu' or 'cuda:N'. */
export async function watchMachine(device: string): Promise<() => Promise<Disturbance>> {
  const [before, oursBefore] = [readCpuTimes(), await cpuSecondsOf(process.pid)];
  return async () => {
    const cpu = cpuDisturbance(before, readCpuTimes(), (await cpuSecondsOf(process.pid)) - oursBefore);
    const index = /^cuda:(\d+)/.exec(device)?.[1];
    if (index === undefined) return cpu;
    const gpu = parseGpuState(await askGpus(gpuStateQuery), Number(index));
    return { ...cpu, gpuMhz: gpu.mhz, reasons: [...cpu.reasons, ...gpu.reasons] };
  };
}
