// Programs in processes of their own: the command line, and scripts that use the package's sources.
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { root } from '../environment.js';
import { until } from './batch.js';

const running = new Set<ChildProcess>();

/** Kills the process when the running test ends before it: a test that failed would leave it to the others, and keep mocha from its end. */
export function untilTestEnds<T extends ChildProcess>(child: T): T {
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

// Of every suite, since files are loaded outside of any.
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

export interface Ended {
  readonly code: number | null;
  /** What killed it; null when it ended by itself. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Uint8Array;
  /** Called once the process runs. */
  readonly during?: (child: ChildProcess) => void;
}

/** What it said and how it ended. */
function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Runs Node to its end. */
export function runNode(args: readonly string[], { cwd = root, env = process.env, input, during }: RunOptions = {}): Promise<Ended> {
  const child = untilTestEnds(spawn(process.execPath, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] }));
  const ended = endOf(child);
  child.stdin.end(input ?? '');
  during?.(child);
  return ended;
}

/** `cornernet ...` as installed: the compiled command line. */
export function cornernet(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return runNode([join(root, 'dist', 'cli.js'), ...args], options);
}

/** `cornernet ...`, running: to be killed. */
export function startCornernet(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  under: readonly string[] = [],
): { child: ChildProcess; ended: Promise<Ended> } {
  const [command, ...rest] = [...under, process.execPath, join(root, 'dist', 'cli.js'), ...args];
  const child = untilTestEnds(spawn(command as string, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
  return { child, ended: endOf(child) };
}

/** What a process has said on standard error so far. */
export function heard({ stderr }: ChildProcess): () => string {
  let said = '';
  stderr?.on('data', (text: Buffer) => (said += text.toString()));
  return () => said;
}

/** Ctrl-C, and again once the first was heard and for so long that it counts as another. */
export async function pressTwice(child: ChildProcess, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
  const said = heard(child);
  child.kill(signal);
  await until(() => said().includes('press Ctrl-C again') || child.exitCode !== null, 'the first signal');
  await sleep(300);
  child.kill(signal);
}

/** An environment in which every process under a job or a worker runs this first. @param file where it is written. */
export function inChildren(file: string, body: string): NodeJS.ProcessEnv {
  writeFileSync(file, `const fs = require('node:fs'); if (process.send) { ${body} }`);
  return { ...process.env, NODE_OPTIONS: `--require=${file}` };
}

/** For {@link inChildren}: holds the process until there is such a file. */
export function waitingFor(file: string): string {
  return `while (!fs.existsSync(${JSON.stringify(file)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);`;
}

/** A script against the compiled package, whose exports are in scope as `cornernet`; `picture(i)` makes a small raw picture. */
export function runScript(body: string, options: RunOptions & { readonly flags?: readonly string[] } = {}): Promise<Ended> {
  const prelude = `
    const cornernet = require(${JSON.stringify(join(root, 'dist', 'index.js'))});
    const jobs = require(${JSON.stringify(join(root, 'dist', 'jobs.js'))});
    const { Detector } = cornernet;
    const picture = (i = 0, width = 120, height = 100) =>
      ({ width, height, channels: 3, data: Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * 31 + i * 97 + (at >> 7)) & 255) });
  `;
  return runNode([...(options.flags ?? []), '-e', `${prelude}(async () => {${body}})();`], options);
}
