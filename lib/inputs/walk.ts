// The files below a folder in natural order, however many: nothing but one run of names is held in memory.
import { createReadStream } from 'node:fs';
import { mkdtemp, opendir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { CornerNetError, sentenceOf } from '../errors.js';

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
    for await (const entry of await opendir(folder, { bufferSize: 1024 })) {
      if (entry.name.startsWith('.')) continue;
      const kind = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
      if (kind?.isDirectory() === true) yield { name: entry.name, folder: true };
      else if (kind?.isFile() === true) yield { name: entry.name, folder: false };
    }
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `the folder ${folder} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
}

async function* readRun(file: string): AsyncGenerator<Name, void> {
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) yield JSON.parse(line) as Name;
}

async function* mergeRuns(files: readonly string[]): AsyncGenerator<Name, void> {
  const runs = files.map(readRun);
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
}

/** In natural order; exported for its test, which makes the runs short. */
export async function* sortNames(names: AsyncIterable<Name>, length = runLength): AsyncGenerator<Name, void> {
  let run: Name[] = [];
  let spill: string | undefined;
  const files: string[] = [];
  try {
    for await (const name of names) {
      run.push(name);
      if (run.length < length) continue;
      spill ??= await mkdtemp(join(tmpdir(), 'cornernet-'));
      const file = join(spill, `run-${files.length}.jsonl`);
      await writeFile(
        file,
        run.sort(byName).map((one) => `${JSON.stringify(one)}\n`),
      );
      files.push(file);
      run = [];
    }
    run.sort(byName);
    if (files.length === 0 || spill === undefined) {
      yield* run;
      return;
    }
    const last = join(spill, 'run-last.jsonl');
    await writeFile(
      last,
      run.map((one) => `${JSON.stringify(one)}\n`),
    );
    yield* mergeRuns([...files, last]);
  } finally {
    if (spill !== undefined) await rm(spill, { recursive: true, force: true });
  }
}

/**
 * Paths of the files below `folder`, relative to it, depth first in natural order; hidden ones are passed over, links are followed once.
 * @param depth how many levels down, 1 for the folder's own files.
 */
export async function* walk(folder: string, depth = Infinity, below = '', above: readonly string[] = []): AsyncGenerator<string, void> {
  const here = join(folder, below);
  const real = await realpath(here).catch(() => here);
  if (above.includes(real)) return; // a link to a folder that it lies in
  for await (const { name, folder: isFolder } of sortNames(namesOf(here))) {
    const path = below === '' ? name : `${below}/${name}`;
    if (!isFolder) yield path;
    else if (depth > 1) yield* walk(folder, depth - 1, path, [...above, real]);
  }
}
