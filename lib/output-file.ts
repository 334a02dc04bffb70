// Outputs: a file, which appears under its name only when it is complete, what devices and pipes take, or standard output.
import { createHash, randomBytes } from 'node:crypto';
import { constants, createWriteStream, type Stats } from 'node:fs';
import { access, chmod, chown, mkdir, readdir, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';

import { CornerNetError, sentenceOf } from './errors.js';
import { openFile } from './file-handle.js';
import { realPath } from './inputs/file-names.js';
import { shownOn } from './terminal.js';

export interface TextOutput {
  write(text: string | Uint8Array): Promise<void>;
  /** Makes what was written final. */
  commit(): Promise<void>;
  /** Leaves no trace of a file. */
  discard(): Promise<void>;
}

/** Whether the system refused to make or to write a file. */
export const isUnwritable = (error: unknown): boolean =>
  /^E(ACCES|PERM|ROFS|NOSPC|DQUOT|NOTDIR|EXIST)$/.test((error as NodeJS.ErrnoException | undefined)?.code ?? '');

/** What becomes of any failure to write `path`. */
export function unwritable(path: string, error: unknown): CornerNetError {
  return new CornerNetError('ERR_WRITE', `${path} can't be written: ${sentenceOf(error)}`, { cause: error });
}

/** What the work that writes `path` comes to; any failure of it is {@link unwritable}. */
export function orUnwritable<T>(path: string, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw unwritable(path, error);
  });
}

async function writeTo(stream: Writable, text: string | Uint8Array): Promise<void> {
  const written = typeof text === 'string' ? shownOn(stream, text) : text;
  await new Promise<void>((resolve, reject) => stream.write(written, (error) => (error ? reject(error) : resolve())));
}

/** Names that files have before they have their own. */
const asideName = /\.\d+-[0-9a-f]{8}\.part$/;
/** Bytes that a file's name may have. */
const longestName = 255;

/** The name with its ending, the name cut and told apart by a hash where a file system would refuse it. */
export function fittingName(name: string, ending: string): string {
  const room = longestName - Buffer.byteLength(ending);
  if (Buffer.byteLength(name) <= room) return `${name}${ending}`;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  const cut = Buffer.from(name).subarray(0, room - hash.length - 1).toString().replace(/\ufffd+$/, ''); // prettier-ignore
  return `${cut}-${hash}${ending}`;
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
}

/** What a link leads to, be it there or not. */
async function linkedTo(path: string): Promise<string> {
  const to = await readlink(path).catch(() => undefined);
  return to === undefined ? path : linkedTo(resolve(dirname(path), to));
}

/** The number of an open file of this process that a path names, as /dev/stdout does. */
async function descriptorOf(path: string): Promise<number | undefined> {
  const [, number] = /^\/(?:dev|proc\/(?:self|\d+))\/fd\/(\d+)$/.exec(resolve(path)) ?? [];
  if (number !== undefined) return Number(number);
  const to = await readlink(path).catch(() => undefined);
  return to === undefined ? undefined : descriptorOf(resolve(dirname(path), to));
}

interface Target {
  /** Behind all links. */
  readonly file: string;
  /** Where it is written before it gets its name; devices, pipes and what is open already are written through. */
  readonly aside?: string;
  /** Of the file that is replaced. */
  readonly former?: Stats | undefined;
  /** Of a path that names an open file. */
  readonly descriptor?: number | undefined;
}

async function targetOf(path: string): Promise<Target> {
  const there = await statIfThere(path);
  if (there?.isDirectory() === true) throw new Error('it is a folder');
  const descriptor = there && (await descriptorOf(path));
  if (descriptor !== undefined || (there && !there.isFile())) return { file: path, descriptor };
  const file = there ? await realpath(path) : await linkedTo(resolve(path));
  const ending = `.${process.pid}-${randomBytes(4).toString('hex')}.part`; // as asideName has it
  return { file, aside: join(dirname(file), fittingName(basename(file), ending)), former: there };
}

/** Whether it is, or is to be, a file under its own name; true also of what {@link checkOutputFiles} refuses. */
export async function isFileOutput(path: string): Promise<boolean> {
  return targetOf(path).then(({ aside }) => aside !== undefined, () => true); // prettier-ignore
}

/** Of what is written aside: nobody reads of a private file what its former readers could not. */
function modeOf({ former }: Target): number {
  return former ? 0o600 : 0o666;
}

function streamTo(target: Target, flush: boolean): Writable {
  const { file, aside, descriptor } = target;
  if (descriptor === 1) return process.stdout;
  if (descriptor === 2) return process.stderr;
  // Nothing that lies there is followed or kept.
  if (aside !== undefined) return createWriteStream(aside, { flags: 'wx', mode: modeOf(target), flush });
  return createWriteStream(file, { flags: descriptor === undefined ? 'w' : 'a' });
}

/** Gives what is written its name, and its predecessor's owner, where we may, and mode. */
async function replace({ file, former }: Target, aside: string): Promise<void> {
  if (former) {
    const own = await stat(aside);
    if (own.uid !== former.uid || own.gid !== former.gid) await chown(aside, former.uid, former.gid).catch(() => undefined);
    await chmod(aside, former.mode & 0o7777);
  }
  await rename(aside, file);
}

/**
 * A file that `write` writes and has on the disk, under a name aside that it is given; then it gets its own. The name aside is taken before `write` is
 * called: what can't be written is known at once.
 * @returns what `write` does.
 * @throws {CornerNetError} `ERR_WRITE`, and what `write` throws, be it an abort's reason; of the file nothing is left then.
 */
export async function writeAside<T>(path: string, write: (aside: string) => Promise<T>): Promise<T> {
  let made: string | undefined;
  let thrown: unknown;
  try {
    const target = await targetOf(path);
    if (target.aside === undefined) throw new Error('it is no regular file');
    made = target.aside;
    await (await openFile(made, 'wx', modeOf(target))).close();
    const result = await write(made).catch((error: unknown) => {
      thrown = error;
      throw error;
    });
    await replace(target, made);
    await syncFolder(dirname(target.file));
    return result;
  } catch (error) {
    if (made !== undefined) await rm(made, { force: true }).catch(() => undefined);
    if (error === thrown && !(error instanceof CornerNetError && error.code === 'ERR_WRITE')) throw error;
    throw unwritable(path, error);
  }
}

/** Deletes what killed processes left aside in a folder that is this one's alone. */
export async function clearAside(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (asideName.test(name)) await rm(join(folder, name), { force: true });
}

/** What file systems say that have no such thing as a folder's sync, or of folders that can't be read. */
const noSync = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EACCES', 'EBADF', 'EISDIR'];

/** Has the names in a folder on the disk, so that a power cut leaves them, where its file system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    await using file = await openFile(folder);
    await file.sync();
  } catch (error) {
    if (!noSync.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Level by level: Node's own recursive mkdir never returns below a folder such as /proc, which takes none. */
export async function makeFolder(folder: string): Promise<void> {
  if ((await statIfThere(folder))?.isDirectory() === true) return;
  await makeFolder(dirname(resolve(folder)));
  await mkdir(folder).catch(async (error: unknown) => {
    if ((await statIfThere(folder))?.isDirectory() !== true) throw error; // else somebody else was quicker
  });
  await syncFolder(dirname(resolve(folder)));
}

/** Whether it is the process's own, which stays open. */
function isStandard(stream: Writable): boolean {
  return stream === process.stdout || stream === process.stderr;
}

class FileOutput implements TextOutput {
  readonly #path: string;
  readonly #durable: boolean;
  #open: Promise<{ readonly target: Target; readonly stream: Writable }> | undefined;

  constructor(path: string, durable: boolean) {
    this.#path = path;
    this.#durable = durable;
  }

  async write(text: string | Uint8Array): Promise<void> {
    await this.#attempt(async () => writeTo((await this.#opened()).stream, text));
  }

  async commit(): Promise<void> {
    await this.#attempt(async () => {
      const { stream, target } = await this.#opened();
      if (isStandard(stream)) return;
      stream.end();
      await finished(stream);
      if (target.aside === undefined) return;
      await replace(target, target.aside);
      if (this.#durable) await syncFolder(dirname(target.file));
    });
  }

  async discard(): Promise<void> {
    const open = await this.#open?.catch(() => undefined);
    if (open && !isStandard(open.stream)) open.stream.destroy();
    if (open?.target.aside !== undefined) await rm(open.target.aside, { force: true }).catch(() => undefined);
  }

  #opened(): Promise<{ readonly target: Target; readonly stream: Writable }> {
    return (this.#open ??= (async () => {
      const target = await targetOf(this.#path);
      if (target.aside !== undefined) await makeFolder(dirname(target.file));
      const stream = streamTo(target, this.#durable);
      if (!isStandard(stream)) stream.on('error', () => undefined); // each write reports its own
      return { target, stream };
    })());
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.discard();
      throw unwritable(this.#path, error);
    }
  }
}

/** That a folder is there and takes files, or can be made. */
async function checkFolder(folder: string): Promise<void> {
  if (Buffer.byteLength(basename(folder)) > longestName) throw new Error(`a name has more than ${longestName} bytes`);
  const there = await statIfThere(folder);
  if (!there) return checkFolder(dirname(folder));
  if (!there.isDirectory()) throw new Error(`${folder} is a file, not a folder`);
  await access(folder, constants.W_OK | constants.X_OK);
}

/** Its own name, where it is or is to be a file. */
async function checkFile(path: string): Promise<string | undefined> {
  const { file, aside } = await targetOf(path);
  if (Buffer.byteLength(basename(file)) > longestName) throw new Error(`its name has more than ${longestName} bytes`);
  if (await statIfThere(file)) await access(file, constants.W_OK);
  if (aside === undefined) return undefined;
  await checkFolder(dirname(file));
  return file;
}

/** Paths of a command's options, some of which are not given. */
type Paths = Iterable<string | undefined>;

/**
 * That no output would replace what is read, under whatever name.
 * @throws {CornerNetError} `ERR_OPTION`.
 */
export async function checkNoInput(outputs: Paths, inputs: Paths): Promise<void> {
  const real = async (path: string | undefined): Promise<string> => (path === undefined ? '' : realPath(path).catch(() => ''));
  const there = new Map<string, string | undefined>();
  for (const output of outputs) there.set(await real(output), output);
  there.delete('');
  for (const input of there.size > 0 ? inputs : []) {
    const output = there.get(await real(input));
    if (output !== undefined)
      throw new CornerNetError('ERR_OPTION', `the output ${output} is the input ${input}, which it would replace: name another`);
  }
}

/**
 * That these files can be written, as far as can be told without writing them, are not one file, and none of the inputs; nothing is changed.
 * @throws {CornerNetError} `ERR_WRITE`, `ERR_OPTION`.
 */
export async function checkOutputFiles(outputs: readonly (string | undefined)[], inputs: Paths = []): Promise<void> {
  const files = new Set<string>();
  for (const path of outputs) {
    const file = path === undefined ? undefined : await orUnwritable(path, checkFile(path));
    if (file === undefined) continue;
    if (files.has(file))
      throw new CornerNetError('ERR_OPTION', `two outputs are the file ${path}, of which one would be lost: name another`);
    files.add(file);
  }
  await checkNoInput(outputs, inputs);
}

/**
 * As {@link checkOutputFiles}, of a folder for files.
 * @throws {CornerNetError} `ERR_WRITE`.
 */
export function checkOutputFolder(path: string): Promise<void> {
  return orUnwritable(path, checkFolder(resolve(path)));
}

/**
 * Of `path`, or of standard output without one.
 * @param durable whether a file is on the disk before it gets its name, so that a power cut leaves it whole, the former one or none.
 */
export function openOutput(path?: string, durable = true): TextOutput {
  if (path !== undefined) return new FileOutput(path, durable);
  return {
    write: (text) => writeTo(process.stdout, text),
    commit: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
}

/**
 * Writes a whole text (or bytes), to standard output without a `path`.
 * @throws {CornerNetError} `ERR_WRITE` when the file can't be written, of which nothing is left then.
 */
export async function writeText(path: string | undefined, text: string | Uint8Array, durable?: boolean): Promise<void> {
  const output = openOutput(path, durable);
  await output.write(text);
  await output.commit();
}
