// cornernet batch: any number of pictures into a job folder, going on where it was cut off.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Command } from 'commander';

import { CornerNetError } from '../errors.js';
import { batchTable, queueTable } from '../jobs/options.js';
import { runBatch } from '../jobs/run.js';
import type { BatchSummary, BatchVerification } from '../jobs/types.js';
import { verifyBatch } from '../jobs/verify.js';
import { addDetectorOptions, addTableOptions, loadOptionsOf, tableOptionsOf, type DetectorFlags } from '../options/flags.js';
import { printMade, say, whenOutputFails } from './terminal.js';
import { exitCodes } from './failure.js';
import { onInterrupt } from './interrupt.js';
import { progressOption, quietOption, showBatchProgress, type ProgressStyle } from './progress.js';
import { queueOptionsOf } from './queue-options.js';

type BatchFlags = DetectorFlags & {
  readonly output: string;
  readonly progress: ProgressStyle;
  readonly verify?: boolean;
  readonly maxErrors?: number;
};

const help = `
The job's folder holds job.json (what the job is), results-*.jsonl (a line a picture, as \`cornernet detect\` writes), errors.jsonl,
summary.json and report.html. The same command goes on where a job was cut off; its inputs, weights and settings need not
be named again; what belongs to a start (--device, --threads, --batch-size, --timeout, --format, --annotations, --metrics, --max-errors, the queue) does.

Examples:
  $ cornernet batch photos/ --output job --weights 10x5
  $ cornernet batch --output job                        go on
  $ cornernet batch --output job --retry-errors
  $ cornernet batch --output job --verify                whether every picture has its record
  $ cornernet batch 'archive/*.tar' --output job-2 --shard 2/8
  $ cornernet batch photos/ --output job --queue redis://host    with \`cornernet worker --queue redis://host\` on other machines

Exit codes: 0 all done; 2 some pictures failed, or --max-errors stopped it; 1 it could not begin or go on, as the sentence says; 130 after Ctrl-C.
The job can go on after all of them; the state in summary.json says whether pictures are left.
With --verify: 0 the job is whole, 2 it isn't (the same command without --verify mends what can be), 1 it can't be told.`;

export function register(command: Command): void {
  addTableOptions(command.argument('[inputs...]', batchTable.inputs.about), batchTable)
    .addOption(progressOption())
    .addOption(quietOption())
    .option('--verify', 'compute nothing, say whether the job in the folder is whole')
    .addHelpText('after', help)
    .action(async (inputs: string[], flags: BatchFlags) => {
      process.exitCode = await (flags.verify === true ? verify(inputs, flags) : batch(inputs, flags));
    });
  addTableOptions(command, queueTable);
  addDetectorOptions(command);
}

function ending(summary: BatchSummary, flags: BatchFlags): string {
  const { state, total, done, failed, pending } = summary;
  if (state === 'complete') return `${done} of ${total} pictures have a result, ${failed} failed; see ${flags.output}/report.html`;
  // It would stop again before it begins: those that failed before count too.
  const otherwise = failed > (flags.maxErrors ?? Infinity) ? ` with --retry-errors, or with --max-errors ${failed} or more` : '';
  return `stopped with ${pending} of ${total} pictures to do; the same command goes on${otherwise}`;
}

/** What isn't as it should be, as far as there is any. */
function faults({ pending, changed, damaged }: BatchVerification): string[] {
  return [
    ...(pending > 0 ? [`${pending} pictures have no whole record`] : []),
    ...damaged.map(({ file, lines }) => `${lines} lines of ${file} are damaged or one too many`),
    ...(changed > 0 ? [`${changed} pictures have changed since the list was frozen`] : []),
  ];
}

async function verify(inputs: readonly string[], { output, progress }: BatchFlags): Promise<number> {
  if (inputs.length > 0) throw new CornerNetError('ERR_OPTION', '--verify takes no pictures: it reads those of the job in --output');
  const verification = await verifyBatch(output, { onMessage: say });
  if (progress === 'json') printMade(JSON.stringify({ event: 'verified', ...verification }));
  const { whole, total, done, failed } = verification;
  say(`${done} of ${total} pictures have a result, ${failed} failed: ${whole ? 'the job is whole' : faults(verification).join('; ')}`);
  return whole ? exitCodes.done : exitCodes.someFailed;
}

async function batch(inputs: string[], flags: BatchFlags): Promise<number> {
  using interrupt = onInterrupt(say);
  const progress = showBatchProgress(flags.progress);
  whenOutputFails(() => say('nobody takes the progress any more; the job goes on'));
  try {
    const { output, weights } = flags;
    const job = { inputs, output, weights, options: loadOptionsOf(flags), queue: queueOptionsOf(flags) };
    const summary = await runBatch(
      { ...tableOptionsOf(batchTable, flags), ...job },
      { signal: interrupt.signal, finish: interrupt.finish, onProgress: progress.show, onMessage: say },
    );
    progress.stop();
    if (flags.progress === 'json') printMade(JSON.stringify({ event: 'end', ...summary }));
    say(ending(summary, flags));
    if (summary.state === 'stopped' && interrupt.finish.aborted) return exitCodes.interrupted;
    return summary.failed > 0 ? exitCodes.someFailed : exitCodes.done;
  } catch (error) {
    progress.stop();
    if (!interrupt.signal.aborted) throw error;
    const begun = existsSync(join(flags.output, 'job.json'));
    say(`given up at once${begun ? '; what is recorded stays, and the same command goes on' : ', and no job was begun'}`);
    return exitCodes.interrupted;
  }
}
