// The machine and the software that figures belong to.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { loadavg, release, totalmem } from 'node:os';
import { promisify } from 'node:util';

import { loadNative } from '../native.js';
import { packageVersion } from '../package.js';
import { readOrNothing } from '../proc.js';
import type { Gpu, Machine } from './schema.js';

/** Every value of a field of /proc/cpuinfo. */
export function cpuField(cpuinfo: string, field: string): string[] {
  return [...cpuinfo.matchAll(new RegExp(`^${field}\\s*: (.*)$`, 'gm'))].map((match) => match[1] ?? '');
}

/** Names as "Intel(R) Xeon(R) Processor" don't tell machines apart, and ARM64s have none: numbers do. */
export function cpuName(cpuinfo: string): string {
  const value = (field: string): string => cpuField(cpuinfo, field)[0] ?? '?';
  const [name] = cpuField(cpuinfo, 'model name');
  return name === undefined
    ? `ARM64 (implementer ${value('CPU implementer')}, part ${value('CPU part')}, variant ${value('CPU variant')}, revision ${value('CPU revision')})`
    : `${name} (family ${value('cpu family')}, model ${value('model')}, stepping ${value('stepping')})`;
}

function cpuClocks(): Machine['cpuClocks'] {
  const [least, most] = ['min', 'max'].map((end) => readOrNothing(`/sys/devices/system/cpu/cpu0/cpufreq/scaling_${end}_freq`).trim());
  if (!least || !most) return 'unknown';
  return least === most ? 'locked' : 'floating';
}

const gpuQuery = 'name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks_throttle_reasons.applications_clocks_setting';

/** A line of nvidia-smi's CSV for `gpuQuery`. */
export function parseGpu(line: string): Gpu {
  const [name = '', driver = '', memory = '', clock = '', maxClock = '', applied = ''] = line.split(',').map((cell) => cell.trim());
  const mhz = (text: string): number | null => (/^\d/.test(text) ? Number(text) : null);
  const clocks = applied === 'Active' ? 'locked' : applied === 'Not Active' ? 'floating' : 'unknown';
  return { name, driver, memoryBytes: (mhz(memory) ?? 0) * 2 ** 20, clockMhz: mhz(clock), maxClockMhz: mhz(maxClock), clocks };
}

/** What nvidia-smi says of the GPUs, a line each without units; none without a driver. */
export async function askGpus(fields: string): Promise<string[]> {
  const query = [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'];
  const { stdout } = await promisify(execFile)('nvidia-smi', query).catch(() => ({ stdout: '' }));
  return stdout.split('\n').filter((line) => line !== '');
}

/** A process's peak of resident memory begins anew, at what is resident now; where the system refuses that, it stays what it has been. */
export function forgetPeak(process: number | 'self' = 'self'): void {
  try {
    writeFileSync(`/proc/${process}/clear_refs`, '5');
  } catch {
    // not this one's to write, as in some containers
  }
}

/** Needs the addon. */
export async function describeMachine(): Promise<Machine> {
  const build = loadNative().buildInfo();
  const cpuinfo = readOrNothing('/proc/cpuinfo');
  const mhz = cpuField(cpuinfo, 'cpu MHz').map(Number);
  return {
    cpu: cpuName(cpuinfo),
    cores: build.cores,
    memoryBytes: totalmem(),
    cpuFeatures: build.cpuFeatures,
    cpuMhz: mhz.length > 0 ? mhz : null,
    cpuClocks: cpuClocks(),
    load: loadavg(),
    kernel: release(),
    node: process.version,
    cornernet: packageVersion(),
    libtorch: build.libtorchVersion,
    cuda: build.cuda ? build.cudaVersion : null,
    gpus: (await askGpus(gpuQuery)).map(parseGpu),
  };
}
