// The files below a folder in natural order, however many: nothing but one run of names is held in memory.
import { mkdtemp, opendir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

import { CornerNetError, sentenceOf } from '../errors.js';
import { openFile } from '../file-handle.js';
import { orUnwritable } from '../output-file.js';
import { isBelow, onDisk, realPath, textOfName } from './file-names.js';

/** scene2 before scene10, the same on every machine. */
const natural = new Intl.Collator('en', { numeric: true });

/** Names that are sorted in memory at once; a folder of more is sorted in runs on disk, which are merged. */
const runLength = 100_000;

interface Name {
  readonly name: string;
  readonly folder: boolean;
}

const byName = (a: Name, b: Name): number => natural.compare(a.name, b.name) || (a.name < b.name ? -1 : 1);

/** Names of a folder as its file system gives them, without hidden ones; links count as what they lead to. */
async function* namesOf(folder: string): AsyncGenerator<Name, void> {
  try {
    const bytes = { bufferSize: 1024, encoding: 'buffer' as BufferEncoding }; // which Node's types leave out, of names too
    for await (const entry of await opendir(onDisk(folder), bytes)) {
      const name = textOfName(entry.name);
      if (name.startsWith('.')) continue;
      const kind = entry.isSymbolicLink() ? await stat(onDisk(join(folder, name))).catch(() => undefined) : entry;
      if (kind?.isDirectory() === true) yield { name, folder: true };
      else if (kind?.isFile() === true) yield { name, folder: false };
    }
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `the folder ${folder} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
}

/** A line that readline takes for one. */
function lineOf(name: Name): string {
  return `${JSON.stringify(name).replace(/[\u2028\u2029]/g, (end) => `\\u${end.charCodeAt(0).toString(16)}`)}\n`;
}

async function* readRun(file: string): AsyncGenerator<Name, void> {
  await using run = await openFile(file);
  for await (const line of run.readLines({ autoClose: false })) yield JSON.parse(line) as Name;
}

async function* mergeRuns(files: readonly string[]): AsyncGenerator<Name, void> {
  const runs = files.map(readRun);
  try {
    const heads = await Promise.all(runs.map((run) => run.next()));
    for (;;) {
      let least: { name: Name; run: number } | undefined;
      heads.forEach((head, run) => {
        if (head.done !== true && (!least || byName(head.value, least.name) < 0)) least = { name: head.value, run };
      });
      if (!least) return;
      yield least.name;
      const run = runs[least.run] as AsyncGenerator<Name, void>;
      heads[least.run] = await run.next();
    }
  } finally {
    await Promise.all(runs.map((run) => run.return()));
  }
}

/**
 * In natural order; exported for its test, which makes the runs short.
 * @throws {CornerNetError} `ERR_WRITE` when a run can't be written, and what the names throw.
 */
export async function* sortNames(names: AsyncIterable<Name>, length = runLength): AsyncGenerator<Name, void> {
  let run: Name[] = [];
  let spill: string | undefined;
  const files: string[] = [];
  try {
    for await (const name of names) {
      run.push(name);
      if (run.length < length) continue;
      spill ??= await orUnwritable(tmpdir(), mkdtemp(join(tmpdir(), 'cornernet-')));
      const file = join(spill, `run-${files.length}.jsonl`);
      await orUnwritable(tmpdir(), writeFile(file, run.sort(byName).map(lineOf)));
      files.push(file);
      run = [];
    }
    run.sort(byName);
    if (files.length === 0 || spill === undefined) {
      yield* run;
      return;
    }
    const last = join(spill, 'run-last.jsonl');
    await orUnwritable(tmpdir(), writeFile(last, run.map(lineOf)));
    yield* mergeRuns([...files, last]);
  } finally {
    if (spill !== undefined) await rm(spill, { recursive: true, force: true });
  }
}

async function* walkBelow(
  folder: string,
  below: string,
  depth: number,
  enter: (real: string, path: string) => boolean,
  above: readonly string[],
): AsyncGenerator<string, void> {
  const here = join(folder, below);
  const real = await realPath(here).catch(() => here);
  if (above.includes(real) || !enter(real, below)) return;
  for await (const { name, folder: isFolder } of sortNames(namesOf(here))) {
    const path = below === '' ? name : `${below}/${name}`;
    if (!isFolder) yield path;
    else if (depth > 1) yield* walkBelow(folder, path, depth - 1, enter, [...above, real]);
  }
}

/**
 * Paths of the files below `folder`, relative to it, depth first in natural order; hidden ones are passed over. Links are followed; however many lead
 * to a folder, a walk of all levels enters it once.
 * @param depth how many levels down, 1 for the folder's own files; through links that may be the same folder under several names.
 */
export async function* walk(folder: string, depth = Infinity): AsyncGenerator<string, void> {
  const root = await realPath(folder).catch(() => folder);
  const walked = new Set<string>();
  /** Whether a folder is to be walked under this name: its own, if that is in the tree, else the first link to it. */
  const enter = (real: string, path: string): boolean => {
    if (depth < Infinity) return true;
    const own = relative(root, real);
    const isHidden = own.split('/').some((part) => part.startsWith('.'));
    if (walked.has(real) || (own !== path && isBelow(root, real) && !isHidden)) return false;
    walked.add(real);
    return true;
  };
  yield* walkBelow(folder, '', depth, enter, []);
}
