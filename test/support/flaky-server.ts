// A real HTTP server on the loopback that misbehaves as told.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface FlakyServer extends AsyncDisposable {
  readonly url: string;
  /** Every request so far: its path and the Range it asked for. */
  readonly requests: { path: string; range: string | undefined }[];
}

/** The first handler answers the first request, and so on; the last one all that follow. */
export async function serve(...handlers: [Handler, ...Handler[]]): Promise<FlakyServer> {
  const requests: FlakyServer['requests'] = [];
  const server = createServer((request, response) => {
    const handler = handlers[Math.min(requests.length, handlers.length - 1)] as Handler;
    requests.push({ path: request.url ?? '', range: request.headers.range });
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The file, or the part of it that is asked for. */
export function file(content: Buffer): Handler {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? NaN);
    if (Number.isNaN(start)) {
      response.writeHead(200, { 'content-length': content.length }).end(content);
    } else if (start >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    } else {
      const range = `bytes ${start}-${content.length - 1}/${content.length}`;
      response.writeHead(206, { 'content-length': content.length - start, 'content-range': range }).end(content.subarray(start));
    }
  };
}

/** The whole file whatever range is asked for. */
export function fileWithoutRanges(content: Buffer): Handler {
  return (_, response) => response.writeHead(200, { 'content-length': content.length }).end(content);
}

/** Promises all of the file, sends the first bytes and breaks the connection. */
export function cutAfter(content: Buffer, bytes: number): Handler {
  return (_, response) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, bytes), () => setTimeout(() => response.destroy(), 500));
  };
}

/** Promises all of the file, sends the first bytes and then nothing. */
export function stallAfter(content: Buffer, bytes: number): Handler {
  return (_, response) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, bytes));
  };
}

export function status(code: number): Handler {
  return (_, response) => response.writeHead(code).end('an error page');
}

export function redirect(to: string): Handler {
  return (_, response) => response.writeHead(302, { location: to }).end();
}

/** A real proxy: tunnels each CONNECT to `target`, whatever host was asked for. */
export async function serveProxy(target: string): Promise<{ readonly url: string; readonly hosts: string[] } & AsyncDisposable> {
  const hosts: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on('connect', (request, socket: Socket) => {
    hosts.push(request.url ?? '');
    const upstream = connect(Number(new URL(target).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [socket, upstream]) {
      sockets.add(end);
      end.on('error', () => end.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hosts,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
