// cornernet quantize: weights calibrated for int8 on the CPU.
import type { Command } from 'commander';

import { addTableOptions, tableOptionsOf } from '../options/flags.js';
import { checkOutputFiles, writeText } from '../output-file.js';
import type { QuantizeOptions } from '../quantize/interfaces.js';
import { quantizeTable } from '../quantize/options.js';
import { quantize } from '../quantize/quantize.js';
import { quantizePage, quantizeText } from '../quantize/report.js';
import type { QuantizeProgress } from '../quantize/types.js';
import { onInterrupt } from './interrupt.js';
import { countedProgress, type Progress } from './progress.js';
import { tell } from './terminal.js';

interface QuantizeFlags {
  readonly json?: string;
  readonly html?: string;
  readonly quiet?: boolean;
}

const help = `
The result is a checkpoint as any other: every precision reads it, and 'auto' is int8 where the CPU has VNNI or AMX.

Examples:
  $ cornernet quantize --weights 10x5 --images train2017/ --output 10x5.int8.pth --html calibration.html
  $ cornernet detect photo.jpg --weights 10x5.int8.pth
  $ cornernet bench model --weights 10x5.int8.pth --precision bf16,int8`;

export function register(command: Command): void {
  addTableOptions(command, quantizeTable)
    .option('--json <file>', 'write the report, layer by layer')
    .option('--html <file>', 'write it as a page')
    .option('-q, --quiet', 'show no progress and no tables')
    .addHelpText('after', help)
    .action(run);
}

function shower(quiet: boolean): Disposable & { show: (progress: QuantizeProgress) => void; stop: () => void } {
  let bar: Progress | undefined;
  const show = ({ stage, total = 0, trial }: QuantizeProgress): void => {
    if (stage === 'observing') {
      bar ??= countedProgress(total, quiet);
      bar.advance(false);
      return;
    }
    bar?.stop();
    bar = undefined;
    if (trial && !quiet) tell(`${trial.what}: error ${(100 * trial.error).toFixed(2)}%`);
  };
  const stop = (): void => bar?.stop();
  return { show, stop, [Symbol.dispose]: stop };
}

async function run(flags: QuantizeFlags): Promise<void> {
  const quiet = flags.quiet === true;
  const options = tableOptionsOf(quantizeTable, flags) as unknown as QuantizeOptions;
  await checkOutputFiles([options.output, flags.json, flags.html], [options.weights]);
  using interrupt = onInterrupt(() => undefined);
  using progress = shower(quiet);
  const report = await quantize(options, { signal: interrupt.finish, onProgress: progress.show });
  progress.stop();
  for (const { image, reason } of report.failed) tell(`warning: ${image} is left out: ${reason}`);
  if (flags.json !== undefined) await writeText(flags.json, `${JSON.stringify(report)}\n`);
  if (flags.html !== undefined) await writeText(flags.html, quantizePage(report));
  if (!quiet) await writeText(undefined, quantizeText(report));
}
