// Programs in processes of their own: the command line, and scripts that use the package's sources.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

import { root } from '../environment.js';

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

/** Runs Node to its end. */
export function runNode(args: readonly string[], { cwd = root, env = process.env, input, during }: RunOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
    child.stdin.end(input ?? '');
    during?.(child);
  });
}

/** `cornernet ...` as installed: the compiled command line. */
export function cornernet(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return runNode([join(root, 'dist', 'cli.js'), ...args], options);
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
