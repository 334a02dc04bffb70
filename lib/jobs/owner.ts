// Who a process is to others that share a folder with it: names of machines and process numbers alone are given twice.
import { readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';

import { z } from 'zod';

export const ownerSchema = z.object({
  host: z.string(),
  pid: z.int(),
  /** The start of the machine and the processes' name space in which `pid` means something; absent where the system doesn't tell. */
  space: z.string().optional(),
  /** When the process started, in the system's own ticks: a number is given again. */
  started: z.string().optional(),
});

export type Owner = z.infer<typeof ownerSchema>;

/** State and start of a process, from Linux's /proc; undefined where there is no such process. */
async function readProcess(pid: number | 'self'): Promise<{ state: string; started: string } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // Behind the command's name, which may hold anything: the state is the third field, the start the 22nd.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields && { state: fields[0] ?? '', started: fields[19] ?? '' };
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

export async function thisProcess(): Promise<Owner> {
  return { host: hostname(), pid: process.pid, space: processSpace(), started: (await readProcess('self'))?.started };
}

/** Whether it runs; undefined when that can't be told from here. */
export async function isAlive(owner: Owner): Promise<boolean | undefined> {
  if (owner.space === undefined || owner.started === undefined || owner.space !== processSpace()) return undefined;
  const found = await readProcess(owner.pid);
  if (!found) return isNoProcess(owner.pid) ? false : undefined; // those of other users may be hidden
  return found.started === owner.started && !/[ZX]/.test(found.state);
}
