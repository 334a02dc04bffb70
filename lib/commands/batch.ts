// cornernet batch: any number of pictures into a job folder, going on where it was cut off.
import { Option, type Command } from 'commander';

import { runBatch } from '../jobs/run.js';
import type { BatchFormat, BatchSummary, Shard } from '../jobs/types.js';
import { CornerNetError } from '../errors.js';
import { addDetectorOptions, loadOptionsOf, numeric, type DetectorFlags } from '../options/flags.js';
import { exitCodes } from './failure.js';
import { onInterrupt } from './interrupt.js';
import { showBatchProgress, type ProgressStyle } from './progress.js';
import { addQueueOptions, queueOptionsOf, type QueueFlags } from './queue-options.js';

interface BatchFlags extends DetectorFlags, QueueFlags {
  readonly output: string;
  readonly format?: BatchFormat;
  readonly annotations?: string;
  readonly limit?: number;
  readonly shard?: Shard;
  readonly retryErrors?: boolean;
  readonly maxErrors?: number;
  readonly progress: ProgressStyle;
}

const help = `
The job's folder holds job.json (what the job is), results-*.jsonl (a line a picture, as \`cornernet detect\` writes), errors.jsonl,
summary.json and report.html. The same command goes on where a job was cut off; without inputs and options it goes on as it was begun.

Examples:
  $ cornernet batch photos/ --output job --weights 10x5
  $ cornernet batch --output job                        go on
  $ cornernet batch --output job --retry-errors
  $ cornernet batch 'archive/*.tar' --output job-2 --shard 2/8
  $ cornernet batch photos/ --output job --queue redis://host    with \`cornernet worker --queue redis://host\` on other machines

Exit codes: 0 all done, 1 wrong usage or not begun, 2 some pictures failed, 130 after Ctrl-C; the job can go on after all of them.`;

function parseShard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (index !== undefined && count !== undefined) return { index: Number(index), count: Number(count) };
  throw new CornerNetError('ERR_OPTION', `--shard takes i/n, as in 2/8, not '${text}'`);
}

export function register(command: Command): void {
  command
    .argument('[inputs...]', 'pictures, folders, globs, lists of paths (.txt, .lst, .list), tar files, or - for a list on standard input')
    .requiredOption('-o, --output <folder>', "the job's folder")
    .addOption(new Option('-f, --format <format>', 'what else to write at the end').choices(['jsonl', 'coco', 'csv']))
    .option('--annotations <file>', 'COCO annotations whose picture and category ids --format coco uses')
    .addOption(numeric('--limit <n>', 'at most so many pictures (of the shard)'))
    .addOption(new Option('--shard <i/n>', 'every nth picture from the ith, for n machines that share nothing').argParser(parseShard))
    .option('--retry-errors', 'try the pictures again that failed')
    .addOption(numeric('--max-errors <n>', 'stop when more pictures than this have failed'))
    .addOption(
      new Option('--progress <style>', 'auto (a bar, or a line every few seconds), json (an event a line on standard output) or none')
        .choices(['auto', 'json', 'none'])
        .default('auto'),
    )
    .option('--root <folder>', 'with --queue: the folder that holds all pictures, wherever workers have it (default: the current one)')
    .addHelpText('after', help)
    .action(async (inputs: string[], flags: BatchFlags) => {
      process.exitCode = await batch(inputs, flags);
    });
  addQueueOptions(command);
  addDetectorOptions(command);
}

function ending(summary: BatchSummary, flags: BatchFlags): string {
  const { state, total, done, failed, pending } = summary;
  if (state === 'complete') return `${done} of ${total} pictures have a result, ${failed} failed; see ${flags.output}/report.html`;
  return `stopped with ${pending} of ${total} pictures to do; go on with: cornernet batch --output ${flags.output}`;
}

async function batch(inputs: string[], flags: BatchFlags): Promise<number> {
  const say = (text: string): void => console.error(`cornernet: ${text}`);
  const interrupt = onInterrupt(say);
  const progress = showBatchProgress(flags.progress);
  try {
    const { output, weights, format, annotations, limit, shard, retryErrors, maxErrors } = flags;
    const job = { inputs, output, weights, options: loadOptionsOf(flags), format, annotations, limit, shard, retryErrors, maxErrors };
    const summary = await runBatch(
      { ...job, queue: queueOptionsOf(flags) },
      { signal: interrupt.signal, finish: interrupt.finish, onProgress: progress.show, onMessage: say },
    );
    progress.stop();
    if (flags.progress === 'json') console.log(JSON.stringify({ event: 'end', ...summary }));
    say(ending(summary, flags));
    if (summary.state === 'stopped' && interrupt.finish.aborted) return exitCodes.interrupted;
    return summary.failed > 0 ? exitCodes.someFailed : exitCodes.done;
  } catch (error) {
    progress.stop();
    if (!interrupt.signal.aborted) throw error;
    say(`given up at once; what is recorded stays; go on with: cornernet batch --output ${flags.output}`);
    return exitCodes.interrupted;
  } finally {
    interrupt.release();
  }
}
