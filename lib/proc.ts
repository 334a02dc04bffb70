// What Linux tells of processes and of itself in the files of /proc and /sys.
import { readFileSync } from 'node:fs';

/** '' where it can't be read: there is no such process or file, or it isn't this one's to know. */
export function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The fields of a process's `stat` from the third on, its state: the second is the command's name, which may hold anything. [] of one that is gone. */
export function statOf(pid: number | 'self'): string[] {
  return /\) ([^)]+)\n$/.exec(readOrNothing(`/proc/${pid}/stat`))?.[1]?.split(' ') ?? [];
}

/** Bytes that a process has resident (VmRSS), or had at most (VmHWM); 0 of one that is gone. */
export function memoryOf(pid: number | 'self', field: 'VmRSS' | 'VmHWM'): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readOrNothing(`/proc/${pid}/status`))?.[1];
  return 1024 * Number(kilobytes ?? 0);
}
