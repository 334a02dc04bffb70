// npx tsx bench/batch/run.ts [--pictures N] [--rounds N] [--recorded N] [--listed N]: what a batch job costs beside the detector's own work.
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { median } from '../../lib/bench/statistics.js';
import { FrozenList, chunkLength, freezeList } from '../../lib/jobs/list.js';
import { JobRecords, resultsFile } from '../../lib/jobs/records.js';
import { Detector } from '../../lib/index.js';
import { runBatch } from '../../lib/jobs.js';
import { listInputs } from '../../lib/inputs/expand.js';
import { fixtures, root } from '../../test/environment.js';

const photos = readdirSync(join(fixtures, 'digits', 'val'))
  .filter((name) => name.endsWith('.jpg'))
  .map((name) => join(fixtures, 'digits', 'val', name));

/** The same pictures, decoding and network, without a job around them. */
async function pipelineSeconds(list: readonly string[], output: string): Promise<number> {
  await using detector = await Detector.load('digits');
  for await (const result of detector.detectAll(list.slice(0, 20))) if ('error' in result) throw result.error; // warm-up
  const start = performance.now();
  const lines: string[] = [];
  for await (const result of detector.detectAll(list)) lines.push(JSON.stringify(result));
  writeFileSync(output, lines.join('\n'));
  return (performance.now() - start) / 1000;
}

/** From the first record to the last. */
async function batchSeconds(list: readonly string[], folder: string): Promise<number> {
  const file = join(folder, 'list.txt');
  writeFileSync(file, list.join('\n'));
  let first: { time: number; done: number } | undefined;
  let last = { time: 0, done: 0 };
  await runBatch(
    { inputs: [file], output: join(folder, 'job') },
    {
      onProgress: ({ done }) => {
        if (done >= 20) first ??= { time: performance.now(), done };
        if (done > last.done) last = { time: performance.now(), done };
      },
    },
  );
  const begun = first ?? last;
  return ((last.time - begun.time) / 1000 / (last.done - begun.done)) * list.length;
}

async function rate(pictures: number, rounds: number, folder: string): Promise<void> {
  const list = Array.from({ length: pictures }, (_, i) => photos[i % photos.length] as string);
  const seconds: { plain: number[]; batch: number[] } = { plain: [], batch: [] };
  for (let round = 0; round < rounds; round++) {
    const here = join(folder, `round-${round}`);
    mkdirSync(here);
    seconds.plain.push(await pipelineSeconds(list, join(here, 'plain.jsonl')));
    seconds.batch.push(await batchSeconds(list, here));
  }
  const [plain, batch] = [median(seconds.plain), median(seconds.batch)];
  console.log(
    `Rate, ${pictures} small pictures, ${rounds} rounds in turns, digits weights. Inside the clock: reading, decoding, network, records on disk; not loading.\n` +
      `  detectAll and a file of JSON lines ${(pictures / plain).toFixed(1)} pictures/s, batch ${(pictures / batch).toFixed(1)} pictures/s: ${((100 * plain) / batch).toFixed(1)}%`,
  );
}

async function fill(job: string, total: number, recorded: number): Promise<void> {
  const list = new FrozenList(job, total);
  const [line] = readFileSync(join(job, resultsFile(0)), 'utf8').split('\n');
  for (let chunk = 0; chunk * chunkLength < recorded; chunk++) {
    writeFileSync(join(job, resultsFile(chunk)), `${line}\n`.repeat(Math.min(chunkLength, recorded - chunk * chunkLength)));
  }
  await (await JobRecords.open(job, list, false)).close(); // seals what is complete, as the job itself would have
}

/** Seconds from the command to its first new record. */
async function resumeSeconds(job: string, recorded: number): Promise<number> {
  const part = join(job, resultsFile(Math.floor(recorded / chunkLength)));
  const before = existsSync(part) ? statSync(part).size : 0;
  const start = performance.now();
  const child = spawn(process.execPath, [join(root, 'dist', 'cli.js'), 'batch', '--output', job, '--progress', 'none'], {
    stdio: 'ignore',
  });
  while (!existsSync(part) || statSync(part).size === before) await new Promise((resolve) => setTimeout(resolve, 5));
  const seconds = (performance.now() - start) / 1000;
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  return seconds;
}

async function resume(recorded: number, folder: string): Promise<void> {
  const photo = join(folder, 'photo.jpg');
  copyFileSync(photos[0] as string, photo);
  const total = recorded + 1000;
  const list = join(folder, 'list.txt');
  writeFileSync(list, `${photo}\n`.repeat(total));
  const job = join(folder, 'job');
  const finish = new AbortController();
  await runBatch({ inputs: [list], output: job }, { finish: finish.signal, onProgress: ({ done }) => done > 0 && finish.abort() });
  await fill(job, total, recorded);
  const sealed = await resumeSeconds(job, recorded);
  rmSync(join(job, 'complete.jsonl'));
  const unsealed = await resumeSeconds(job, recorded);
  console.log(
    `Resuming with ${recorded} recorded results. Inside the clock: from the command to the first new record.\n` +
      `  ${sealed.toFixed(2)} s; ${unsealed.toFixed(2)} s when every part must be read again`,
  );
}

async function listing(listed: number, folder: string): Promise<void> {
  const list = join(folder, 'many.txt');
  const block = Array.from({ length: 100_000 }, (_, i) => `some/folder/of/pictures/picture-${i}.jpg\n`).join('');
  writeFileSync(list, '');
  for (let i = 0; i < listed; i += 100_000) writeFileSync(list, block, { flag: 'a' });
  global.gc?.();
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 50);
  const start = performance.now();
  const total = await freezeList(join(folder, 'listed'), listInputs([list]), {});
  clearInterval(timer);
  console.log(
    `Listing ${total} inputs of a list. Inside the clock: reading it and writing the job's own.\n` +
      `  ${((performance.now() - start) / 1000).toFixed(1)} s, ${((peak - before) / 1e6).toFixed(0)} MB above the start`,
  );
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { pictures: text, rounds: text, recorded: text, listed: text } });
  const folder = mkdtempSync(join(tmpdir(), 'cornernet-bench-'));
  try {
    console.log(`${cpus()[0]?.model ?? ''}, ${cpus().length} cores, load ${(loadavg()[0] ?? 0).toFixed(1)}\n`);
    for (const [name, run] of [
      ['rate', (here: string) => rate(Number(values.pictures ?? 10_000), Number(values.rounds ?? 3), here)],
      ['resume', (here: string) => resume(Number(values.recorded ?? 1_000_000), here)],
      ['listing', (here: string) => listing(Number(values.listed ?? 10_000_000), here)],
    ] as const) {
      const here = join(folder, name);
      mkdirSync(here);
      await run(here);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();
