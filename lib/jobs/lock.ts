// One process at a time works on a job folder, on this machine or on any that shares it.
//
// Who has the folder is said by its file lock-<generation>.json of the highest generation. A folder whose owner is dead is taken by making the next
// generation's file, which one process alone can (O_EXCL), and then deleting the former's. The owner counts up in its file; whoever can't ask the system
// whether the owner lives watches that counter by a clock of its own: no two clocks are compared, and no file's times. An owner that slept meanwhile finds
// its file gone.
import { randomUUID } from 'node:crypto';
import { readFile, readdir, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setInterval } from 'node:timers'; // a browser's, as under jsdom, gives a number
import { setTimeout as pause } from 'node:timers/promises';

import pLimit from 'p-limit';
import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { openFile } from '../file-handle.js';
import { makeFolder, unwritable } from '../output-file.js';
import { parseLine } from './lines.js';
import { isAlive, ownerSchema, thisProcess, type Owner } from './owner.js';

/** Milliseconds, of each process's own steady clock. */
export interface LockTimes {
  /** How often the owner counts. */
  readonly beat: number;
  /** After how long without a count others take it for dead. */
  readonly dead: number;
}

const defaultTimes: LockTimes = { beat: 5_000, dead: 60_000 };
const looksABeat = 10;

export interface LockOptions {
  readonly times?: LockTimes;
  readonly signal?: AbortSignal | undefined;
  /** Told what is waited for. */
  readonly say?: ((text: string) => void) | undefined;
}

const claimSchema = z.object({ ...ownerSchema.shape, token: z.string(), count: z.int() });

type Claim = z.infer<typeof claimSchema>;

const lockName = /^lock-(\d+)\.json$/;

function lockFile(folder: string, generation: number): string {
  return join(folder, `lock-${String(generation).padStart(6, '0')}.json`);
}

function claimOf(text: string): Claim | undefined {
  return claimSchema.safeParse(parseLine(text)).data;
}

/** Those there are, the highest first. */
async function generationsIn(folder: string): Promise<number[]> {
  const generations = (await readdir(folder)).map((name) => Number(lockName.exec(name)?.[1] ?? 0));
  return generations.filter((generation) => generation > 0).sort((a, b) => b - a);
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESTALE'].includes((error as NodeJS.ErrnoException).code ?? '');
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (isGone(error)) return undefined;
    throw error;
  });
}

async function writeAtStart(file: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten;
}

function refused(folder: string, owner: Owner | undefined, here: Owner): CornerNetError {
  const place = owner?.host === here.host ? 'this machine' : owner?.host;
  const who = owner ? `process ${owner.pid} on ${place}` : 'another process';
  return new CornerNetError('ERR_LOCKED', `the job in ${folder} is being worked on by ${who}`);
}

/**
 * The text of a generation's file once its owner counts as dead; undefined when it has gone meanwhile.
 * @throws {CornerNetError} `ERR_LOCKED` when its owner lives.
 */
async function awaitDeath(folder: string, generation: number, here: Owner, options: LockOptions): Promise<string | undefined> {
  const { times = defaultTimes, say, signal } = options;
  const file = lockFile(folder, generation);
  const first = await readIfThere(file);
  if (first === undefined) return undefined;
  const owner = claimOf(first);
  const alive = owner === undefined ? undefined : isAlive(owner); // no owner while it is being written
  if (alive === true) throw refused(folder, owner, here);
  if (alive === false) return first;
  const who = owner ? `process ${owner.pid} on ${owner.host}` : 'another process';
  say?.(`${who} has not left the job in ${folder}: waiting for a sign of its life, at most ${times.dead / 1000} s`);
  // Looks are counted, not time: while this process sleeps, the owner may sleep too.
  for (let looks = Math.ceil((looksABeat * times.dead) / times.beat); looks > 0; looks--) {
    await pause(times.beat / looksABeat, undefined, { signal });
    const now = await readIfThere(file);
    if (now === undefined) return undefined;
    if (now !== first) throw refused(folder, claimOf(now) ?? owner, here);
  }
  return first;
}

/** Makes the generation's file; false when another was quicker. */
async function make(folder: string, generation: number, claim: Claim): Promise<boolean> {
  const file = lockFile(folder, generation);
  try {
    await writeFile(file, JSON.stringify(claim), { flag: 'wx', flush: true });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    await rm(file, { force: true }).catch(() => undefined); // made, and not written
    throw error;
  }
}

/** The generation that is this process's then; undefined when another was quicker. */
async function takeNext(folder: string, claim: Claim, options: LockOptions): Promise<number | undefined> {
  const [former = 0] = await generationsIn(folder);
  const judged = former > 0 ? await awaitDeath(folder, former, claim, options) : undefined;
  if (former > 0 && judged === undefined) return undefined;
  const mine = former + 1;
  if (!(await make(folder, mine, claim))) return undefined;
  try {
    const all = await generationsIn(folder);
    // What was judged may be long gone: others took the folder, left it and took it again since.
    const still = all[0] === mine && (former === 0 || (await readIfThere(lockFile(folder, former))) === judged);
    if (still) for (const older of all.slice(1)) await rm(lockFile(folder, older), { force: true });
    else await rm(lockFile(folder, mine), { force: true });
    return still ? mine : undefined;
  } catch (error) {
    await rm(lockFile(folder, mine), { force: true }).catch(() => undefined);
    throw error;
  }
}

export class FolderLock {
  readonly #file: string;
  readonly #timer: NodeJS.Timeout;
  #counted = performance.now();
  /** Kept: the clock may have stood still while others took the folder, a suspended machine's does. */
  #lost: CornerNetError | undefined;
  readonly #inTurn = pLimit(1);

  private constructor(
    private readonly folder: string,
    generation: number,
    private readonly claim: Claim,
    private readonly times: LockTimes,
  ) {
    this.#file = lockFile(folder, generation);
    this.#timer = setInterval(() => void this.#count().catch(() => undefined), times.beat); // who writes next learns what is wrong
    this.#timer.unref();
  }

  /**
   * Makes the folder when it isn't there.
   * @throws {CornerNetError} `ERR_LOCKED` when another process has it; `ERR_WRITE` when it can't be made or written to.
   */
  static async take(folder: string, options: LockOptions = {}): Promise<FolderLock> {
    const claim: Claim = { ...thisProcess(), token: randomUUID(), count: 0 };
    try {
      await makeFolder(folder);
      for (;;) {
        options.signal?.throwIfAborted();
        const generation = await takeNext(folder, claim, options);
        if (generation !== undefined) return new FolderLock(folder, generation, claim, options.times ?? defaultTimes);
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof CornerNetError) throw error;
      throw unwritable(folder, error);
    }
  }

  /**
   * @param anew whether the file is read again in any case, not only when this process may have slept.
   * @throws {CornerNetError} `ERR_LOCKED` when another process has taken the folder, which it does of one that shows no life; `ERR_WRITE` when
   * no life can be shown.
   */
  async held(anew = false): Promise<void> {
    if (this.#lost) throw this.#lost;
    if (anew || performance.now() - this.#counted > this.times.dead / 2) await this.#count();
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    // Where it is another's by now, or can't be deleted, the next to come waits.
    await this.#count()
      .then(() => rm(this.#file, { force: true }))
      .catch(() => undefined);
  }

  /** Counts on in the file, if that is still this process's. */
  #count(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        // Opened anew each time: on a network's file system that alone asks the server.
        await using file = await openFile(this.#file, 'r+');
        if (claimOf(await file.readFile('utf8'))?.token !== this.claim.token) throw this.#loss();
        await writeAtStart(file, JSON.stringify({ ...this.claim, count: ++this.claim.count }));
      } catch (error) {
        if (error instanceof CornerNetError) throw error;
        throw isGone(error) ? this.#loss() : unwritable(this.#file, error);
      }
      this.#counted = performance.now();
    });
  }

  #loss(): CornerNetError {
    return (this.#lost = new CornerNetError(
      'ERR_LOCKED',
      `another process has taken the job in ${this.folder}: this one had shown no life`,
    ));
  }
}
