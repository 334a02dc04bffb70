// A TCP proxy in front of a server on the loopback, which does to its connections what toxiproxy does.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Toxics {
  /** Each piece comes so much later. */
  latencyMs?: number;
  /** Bytes a second, each way. */
  rate?: number;
}

/** Passes everything on, as slowly as it is told. */
class Slow extends Transform {
  constructor(readonly toxics: Toxics) {
    super();
  }

  override _transform(bytes: Buffer, _: BufferEncoding, done: TransformCallback): void {
    const { latencyMs = 0, rate = Infinity } = this.toxics;
    void sleep(latencyMs + (1000 * bytes.length) / rate).then(() => done(null, bytes));
  }
}

export class RedisProxy implements AsyncDisposable {
  /** Of all connections; may be changed at any time. */
  readonly toxics: Toxics = {};
  /** New connections are taken and never served. */
  deaf = false;
  /** From the first request with these bytes on, nothing is answered. */
  muteAt = '';
  #mute = false;
  #keptBack = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ends: (() => void)[] = [];

  private constructor(target: number) {
    this.#server = createServer((socket) => this.#serve(socket, target));
  }

  static async start(target: number): Promise<RedisProxy> {
    const proxy = new RedisProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Keeps back what the server answers for a while, then resets: what clients send again has been done already. Bytes that were kept back. */
  async repeat(ms: number): Promise<number> {
    const before = this.#keptBack;
    this.#mute = true;
    await sleep(ms);
    for (let more = 0; more < 5_000 && this.#keptBack === before; more += ms) await sleep(ms); // nobody has asked for anything yet
    this.cut();
    this.#mute = false;
    return this.#keptBack - before;
  }

  /** From now on every connection there is takes everything and passes nothing on, as if the network were gone. */
  drop(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(client: Socket, target: number): void {
    this.#sockets.add(client);
    client.on('close', () => this.#sockets.delete(client)).on('error', () => client.destroy());
    if (this.deaf) {
      client.resume();
      return;
    }
    const server = connect(target, '127.0.0.1').on('error', () => client.destroy());
    client.on('data', (bytes: Buffer) => (this.#mute ||= this.muteAt !== '' && bytes.includes(this.muteAt)));
    const [to, from] = [new Slow(this.toxics), new Slow(this.toxics)];
    client.pipe(to).pipe(server);
    const answers = new Transform({
      transform: (bytes: Buffer, _, done) => {
        if (this.#mute) this.#keptBack += bytes.length;
        done(null, this.#mute ? undefined : bytes);
      },
    });
    server.pipe(answers).pipe(from).pipe(client);
    client.on('close', () => server.destroy());
    server.on('close', () => {
      if (!from.destroyed) client.destroy();
    });
    this.#ends.push(() => {
      from.destroy();
      client.unpipe(to).resume();
      server.destroy();
    });
  }
}
