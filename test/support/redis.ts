// A real Redis server on a free port, with everything it writes in a folder of its own.
import { strict as assert } from 'node:assert';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

import { Unavailable, orSkip } from '../environment.js';
import { until } from './batch.js';
import { untilTestEnds } from './child.js';
import { freePort } from '../../lib/free-port.js';

export class RedisServer {
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  /** Skips the test where there is no redis-server. With `tls`, the plain port is closed. */
  static async start(context: Mocha.Context, folder: string, flags: readonly string[] = [], tls = false): Promise<RedisServer> {
    await orSkip(context, () =>
      spawnSync('redis-server', ['--version']).error
        ? Promise.reject(new Unavailable('redis-server is not installed (Debian: apt install redis-server)'))
        : Promise.resolve(),
    );
    const port = await freePort();
    const ports = tls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)];
    const server = new RedisServer(port, [
      ...ports,
      ...['--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always', '--save', '', ...flags],
    ]);
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    let said = '';
    this.#child = untilTestEnds(spawn('redis-server', this.#args, { stdio: ['ignore', 'pipe', 'inherit'] }));
    this.#child.stdout?.on('data', (text: Buffer) => (said += text.toString()));
    await until(() => said.includes('Ready to accept connections'), `redis-server is ready (${join(...this.#args.slice(0, 2))})`);
  }

  /** @param signal SIGKILL loses what is not on the disk. */
  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** @param bytes it may use from now on, or 0: as many as it likes. */
  limitMemory(bytes: number): void {
    const { status, stderr } = spawnSync('redis-cli', ['-p', String(this.port), 'config', 'set', 'maxmemory', String(bytes)]);
    assert.equal(status, 0, String(stderr));
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }
}
