// A download that goes on where it stopped: used by the set-up and by lib/weights/download.ts.
'use strict';
const { createHash } = require('node:crypto');
const { createReadStream } = require('node:fs');
const { mkdir, open, rename, rm } = require('node:fs/promises');
const { dirname } = require('node:path');
const { pipeline } = require('node:stream/promises');
const { setTimeout: sleep } = require('node:timers/promises');

const { claimPart, leavePart, sizeOf } = require('./part.js');
const { holdPin } = require('./pin.js');

const STALL_MS = 30_000;
const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;
const MOST_REDIRECTS = 10;

/** A failure that trying again won't mend. */
class FinalError extends Error {
  code = 'ERR_DOWNLOAD';
}

/** https alone; this machine's own loopback needs none, unless another sends there. */
function checkUrl(url, from) {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:') return;
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  if (protocol === 'http:' && isLoopback && (from === undefined || new URL(from).protocol === 'http:')) return;
  throw new FinalError(from === undefined ? 'nothing is fetched but over https' : `a redirect to ${url} is not followed: it is not https`);
}

/** fetch with the proxy that the environment names, once the package's dependencies are there. */
function proxied() {
  try {
    const { EnvHttpProxyAgent, fetch } = require('undici');
    const dispatcher = new EnvHttpProxyAgent();
    return { fetch: (url, options) => fetch(url, { ...options, dispatcher }), end: () => dispatcher.destroy() };
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    return { fetch: globalThis.fetch, end: () => undefined };
  }
}

/** Follows redirects as fetch would, but for those that leave https. */
async function get(fetch, url, options) {
  let at = url;
  let from;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    checkUrl(at, from);
    const response = await fetch(at, { ...options, redirect: 'manual' });
    const to = response.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(response.status) || to === null) return response;
    await response.body?.cancel();
    from = at;
    at = new URL(to, at).href;
  }
  throw new FinalError(`there are more than ${MOST_REDIRECTS} redirects`);
}

async function sha256Of(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Where in the file the answer's bytes go, and the whole file's size when the server says. */
function placeOf(response, offset) {
  const length = Number(response.headers.get('content-length') ?? NaN);
  if (response.status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    if (!range || Number(range[1]) !== offset) throw new FinalError('the server answered with another range than was asked for');
    return { start: offset, total: range[2] === '*' ? NaN : Number(range[2]) };
  }
  // 200: the server ignores ranges, and begins at the beginning.
  return { start: 0, total: response.headers.get('content-encoding') ? NaN : length };
}

/** One connection: takes what comes until the end, a stall or a failure. Resolves once all bytes are there. */
async function attempt({ url, part, fetch, stallMs, signal, onProgress }) {
  const stalled = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(new Error(`no byte came for ${stallMs / 1000} s`)), stallMs);
  };
  const offset = await sizeOf(part);
  alive();
  try {
    const headers = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const signals = signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal;
    const response = await get(fetch, url, { headers, signal: signals });
    if (response.status === 416) {
      // What is there is as long as the file, or longer: the checksum decides, or it begins anew.
      await response.body?.cancel();
      return { restart: true };
    }
    if (!response.ok) {
      await response.body?.cancel();
      const sentence = `the server answered ${response.status} ${response.statusText}`.trimEnd();
      throw response.status >= 500 || response.status === 429 ? new Error(sentence) : new FinalError(sentence);
    }
    const { start, total } = placeOf(response, offset);
    const file = await open(part, start === 0 ? 'w' : 'a');
    let received = start;
    try {
      for await (const chunk of response.body) {
        await file.writeFile(chunk);
        received += chunk.length;
        alive();
        onProgress?.(Number.isNaN(total) ? { received } : { received, total });
      }
    } finally {
      await file.close();
    }
    if (!Number.isNaN(total) && received !== total) throw new Error(`${received} of ${total} bytes came`);
    return { restart: false };
  } catch (error) {
    throw stalled.signal.aborted ? stalled.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error) {
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.message}${cause}`;
}

/** One try: what came is verified and gets its name. */
async function fetchOnce({ part, file, sha256, pin, ...connection }) {
  const resumed = (await sizeOf(part)) > 0;
  const { restart } = await attempt({ part, ...connection });
  const digest = await sha256Of(part);
  const isRight = sha256 === '' ? !restart : digest.startsWith(sha256);
  const change = isRight && pin ? holdPin(file, digest) : undefined;
  if (isRight && change === undefined) {
    await rename(part, file);
    return digest;
  }
  await rm(part, { force: true });
  if (change !== undefined) throw new FinalError(change);
  // A resumed file may be made of two versions: from the beginning once more before it counts as wrong.
  if (!restart && !resumed) throw new FinalError(`what came has the sha256 ${digest}, not ${sha256}`);
  throw new Error(`what had come did not have the sha256 ${sha256}`);
}

/**
 * Fetches `url` into `file`: aside first, from where it goes on after an interruption, then verified and renamed. Several may fetch the same at once.
 * Over https alone, redirects too; only this machine's loopback needs none.
 * @param {{ url: string, file: string, sha256?: string, pin?: boolean, signal?: AbortSignal, stallMs?: number, pauseMs?: number,
 *   onProgress?: (progress: { received: number, total?: number }) => void }} request sha256 may be its first digits only; pin: the
 *   whole of it is held from the first time on (pin.js); stallMs: without a byte for so long, a connection is given up; pauseMs: before the second of
 *   five tries, doubled before each further one
 * @returns {Promise<string>} the sha256
 * Rejects with an Error of code ERR_DOWNLOAD, or with the signal's reason.
 */
async function download({ sha256 = '', pin = false, stallMs = STALL_MS, pauseMs = FIRST_PAUSE_MS, ...request }) {
  const { url, file, signal } = request;
  await mkdir(dirname(file), { recursive: true });
  const part = await claimPart(file);
  const { fetch, end } = proxied();
  let failure;
  try {
    for (let tries = 0; tries < ATTEMPTS; tries++) {
      try {
        if (tries > 0) await sleep(pauseMs * 2 ** (tries - 1), undefined, { signal });
        signal?.throwIfAborted();
        return await fetchOnce({ ...request, part, sha256, pin, fetch, stallMs });
      } catch (error) {
        failure = error;
        if (error instanceof FinalError || signal?.aborted) break;
      }
    }
  } finally {
    await end();
  }
  await leavePart(file, part);
  signal?.throwIfAborted();
  throw Object.assign(new Error(`${url} could not be fetched: ${reasonOf(failure)}`, { cause: failure }), { code: 'ERR_DOWNLOAD' });
}

module.exports = { download, sha256Of };
