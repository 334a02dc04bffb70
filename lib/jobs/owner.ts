// Who a process is to others that share a folder with it: names of machines and process numbers alone are given twice.
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

import { z } from 'zod';

import { statOf } from '../proc.js';

export const ownerSchema = z.object({
  host: z.string(),
  pid: z.int(),
  /** The start of the machine and the processes' name space in which `pid` means something; absent where the system doesn't tell. */
  space: z.string().optional(),
  /** When the process started, in the system's own ticks: a number is given again. */
  started: z.string().optional(),
});

export type Owner = z.infer<typeof ownerSchema>;

/** State and start of a process, undefined where there is no such process: the third field of its `stat` and the 22nd. */
function readProcess(pid: number | 'self'): Record<'state' | 'started', string | undefined> {
  const { 0: state, 19: started } = statOf(pid);
  return { state, started };
}

/** Whether the system says that no process has the number. */
function isNoProcess(pid: number): boolean {
  try {
    return !process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function processSpace(): string | undefined {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return undefined;
  }
}

export function thisProcess(): Owner {
  return { host: hostname(), pid: process.pid, space: processSpace(), started: readProcess('self').started };
}

/** Whether it runs; undefined when that can't be told from here. */
export function isAlive(owner: Owner): boolean | undefined {
  if (owner.space === undefined || owner.started === undefined || owner.space !== processSpace()) return undefined;
  const { state, started } = readProcess(owner.pid);
  if (state === undefined) return isNoProcess(owner.pid) ? false : undefined; // those of other users may be hidden
  return started === owner.started && !/[ZX]/.test(state);
}
