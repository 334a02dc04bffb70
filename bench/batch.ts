// npx tsx bench/batch.ts [--pictures N] [--recorded N] [--listed N]: what a batch job costs beside the detector's own work.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { Detector } from '../lib/index.js';
import { runBatch } from '../lib/jobs.js';
import { lineOf } from '../lib/jobs/lines.js';
import { FrozenList, partLength } from '../lib/jobs/list.js';
import { resultSchema } from '../lib/jobs/outcome.js';
import { JobRecords, resultsFile } from '../lib/jobs/records.js';
import { root } from '../test/environment.js';
import { photos, writeList } from '../test/support/batch.js';
import { newEachTurn } from './child.js';
import { run, wholeNumber, type Case, type Turn } from './harness.js';

const warmUpPictures = 20;

/** The same pictures, decoding and network, without a job around them. */
async function withoutJob(list: readonly string[], output: string): Promise<Turn> {
  await using detector = await Detector.load('digits');
  for await (const result of detector.detectAll(list.slice(0, warmUpPictures))) if ('error' in result) throw result.error;
  const begin = performance.now();
  const lines: string[] = [];
  for await (const result of detector.detectAll(list)) lines.push(JSON.stringify(result));
  writeFileSync(output, lines.join('\n'));
  return { seconds: (performance.now() - begin) / 1000 };
}

/** As from the first record to the last. */
async function withJob(list: string, output: string): Promise<Turn> {
  rmSync(output, { recursive: true, force: true });
  let first: { time: number; done: number } | undefined;
  let last = { time: 0, done: 0 };
  const onProgress = ({ done }: { done: number }): void => {
    if (done >= warmUpPictures) first ??= { time: performance.now(), done };
    if (done > last.done) last = { time: performance.now(), done };
  };
  await runBatch({ inputs: [list], output }, { onProgress });
  const begun = first ?? last;
  return { seconds: ((last.time - begun.time) / 1000 / (last.done - begun.done)) * last.done };
}

function rate(pictures: number, folder: string): Case {
  const list = Array.from({ length: pictures }, (_, i) => photos[i % photos.length] as string);
  const file = writeList(join(folder, 'rate.txt'), list);
  return {
    setting: `${pictures} small pictures, digits weights`,
    candidates: {
      detectAll: () => ({ turn: () => withoutJob(list, join(folder, 'rate.jsonl')) }),
      batch: () => ({ turn: () => withJob(file, join(folder, 'rate')) }),
    },
    against: [{ what: 'speed', ours: 'batch', peers: ['detectAll'] }],
  };
}

/** A job with so many results and a thousand pictures to go. */
async function makeJob(recorded: number, folder: string): Promise<string> {
  const total = recorded + 1000;
  const job = join(folder, 'resumed');
  const inputs = [
    writeList(
      join(folder, 'resumed.txt'),
      Array.from({ length: total }, () => photos[0] as string),
    ),
  ];
  const finish = new AbortController();
  await runBatch({ inputs, output: job }, { finish: finish.signal, onProgress: ({ done }) => done > 0 && finish.abort() });
  const [line = ''] = readFileSync(join(job, resultsFile(0)), 'utf8').split('\n');
  const record = resultSchema.parse(JSON.parse(line));
  for (let part = 0; part * partLength < recorded; part++) {
    const length = Math.min(partLength, recorded - part * partLength);
    const lines = Array.from({ length }, (_, i) => lineOf({ ...record, position: part * partLength + i }));
    writeFileSync(join(job, resultsFile(part)), lines.join(''));
  }
  await (await JobRecords.open(job, new FrozenList(job, total))).close(); // seals what is complete, as the job itself would have
  return job;
}

async function resumeJob(job: string, recorded: number): Promise<Turn> {
  const part = join(job, resultsFile(Math.floor(recorded / partLength)));
  const size = () => statSync(part, { throwIfNoEntry: false })?.size ?? 0;
  const before = size();
  const begin = performance.now();
  const child = spawn(process.execPath, [join(root, 'dist', 'cli.js'), 'batch', '--output', job, '--progress', 'none'], {
    stdio: 'ignore',
  });
  while (size() === before && child.exitCode === null) await setTimeout(5);
  const seconds = (performance.now() - begin) / 1000;
  if (child.exitCode !== null) throw new Error(`the job could not be resumed: exit code ${child.exitCode}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return { seconds };
}

async function resume(recorded: number, folder: string): Promise<Case> {
  const job = await makeJob(recorded, folder);
  const unsealed = async (): Promise<Turn> => {
    rmSync(join(job, 'complete.jsonl'));
    return resumeJob(job, recorded);
  };
  const candidates = { sealed: () => ({ turn: () => resumeJob(job, recorded) }), unsealed: () => ({ turn: unsealed }) };
  return { setting: `${recorded} recorded results`, candidates };
}

function listing(listed: number, folder: string): Case {
  const list = join(folder, 'many.txt');
  writeFileSync(list, '');
  const block = Array.from({ length: 100_000 }, (_, i) => `some/folder/of/pictures/picture-${i}.jpg\n`);
  for (let i = 0; i < listed; i += block.length) writeFileSync(list, block.slice(0, listed - i).join(''), { flag: 'a' });
  return { setting: `${listed} inputs`, candidates: { ours: () => newEachTurn('list', { list, folder: join(folder, 'listed') }) } };
}

void run({
  kind: 'batch',
  insideTheClock:
    'rate: reading, decoding, network, records on disk (detectAll: a file of JSON lines), not loading. resume: from the command to its first new record; ' +
    'unsealed: where every part must be read again. listing: reading a list of inputs and writing the job’s own.',
  options: { pictures: '10000', recorded: '1000000', listed: '10000000' },
  rounds: 3,
  warmUpRounds: 0,
  prepare: (values, folder) => ({
    cases: {
      rate: () => rate(wholeNumber('pictures', values.pictures, 2 * warmUpPictures), folder),
      resume: () => resume(wholeNumber('recorded', values.recorded), folder),
      listing: () => listing(wholeNumber('listed', values.listed), folder),
    },
  }),
});
