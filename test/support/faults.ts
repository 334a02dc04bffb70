// Processes whose files, memory and clock misbehave (faults.c), and the record of what a process did to its files.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Unavailable } from '../environment.js';

/** What faults.c is told; its head says in which words. */
export interface Faults {
  readonly rules?: readonly string[];
  /** Part of the paths that are meant. */
  readonly path?: string;
  /** Part of the command line of the processes that are meant. */
  readonly process?: string;
  readonly trace?: string;
  readonly clock?: string;
  readonly malloc?: string;
}

let library: Promise<string> | undefined;

async function build(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'cornernet-faults-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'faults.so');
  try {
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-O1', '-o', file, join(__dirname, 'faults.c'), '-ldl', '-lpthread']);
  } catch (error) {
    throw new Unavailable(`faults.c can't be compiled here (${(error as Error).message.split('\n').slice(0, 3).join(' ')})`);
  }
  return file;
}

/**
 * The environment of a process with these faults, and of those that it starts.
 * @throws {Unavailable} without a C compiler.
 */
export async function withFaults({ rules, path, process: meant, trace, clock, malloc }: Faults): Promise<NodeJS.ProcessEnv> {
  const told = {
    LD_PRELOAD: await (library ??= build()),
    ...(rules && { FAULTS: rules.join(' ') }),
    ...(path !== undefined && { FAULTS_PATH: path }),
    ...(meant !== undefined && { FAULTS_PROCESS: meant }),
    ...(trace !== undefined && { FAULTS_TRACE: trace }),
    ...(clock !== undefined && { FAULTS_CLOCK: clock }),
    ...(malloc !== undefined && { FAULTS_MALLOC: malloc }),
  };
  return { ...process.env, ...told };
}

/** A change of files, as {@link Faults.trace} has it. */
export interface FileOperation {
  readonly call: 'create' | 'write' | 'truncate' | 'fsync' | 'rename' | 'link' | 'mkdir' | 'rmdir' | 'unlink';
  readonly path: string;
  /** The new name. */
  readonly to: string;
  /** Of a write; the new length of a truncation. */
  readonly offset: number;
  readonly bytes: Buffer;
}

export async function readTrace(file: string): Promise<FileOperation[]> {
  const trace = await readFile(file);
  const operations: FileOperation[] = [];
  for (let at = 0; at < trace.length;) {
    const end = trace.indexOf('\n', at);
    const [call, path = '', to = '', offset, length] = trace.toString('utf8', at, end).split('\t');
    const bytes = call === 'write' ? trace.subarray(end + 1, end + 1 + Number(length)) : Buffer.alloc(0);
    operations.push({ call: call as FileOperation['call'], path, to, offset: Number(offset), bytes });
    at = end + 1 + bytes.length + 1;
  }
  return operations;
}
