// cornernet train: your own detector from annotated pictures, going on where it was cut off.
import { Option, type Command } from 'commander';

import { CornerNetError } from '../errors.js';
import { addTableOptions, tableOptionsOf } from '../options/flags.js';
import type { TrainOptions } from '../train/interfaces.js';
import { trainTable } from '../train/options.js';
import { optionsIn } from '../train/plan.js';
import { train } from '../train/run.js';
import type { TrainSummary } from '../train/types.js';
import { exitCodes } from './failure.js';
import { onInterrupt } from './interrupt.js';
import { progressOption, quietOption, showTrainProgress, type ProgressStyle } from './progress.js';
import { printMade, say, whenOutputFails } from './terminal.js';

interface TrainFlags {
  readonly config?: string;
  readonly output: string;
  readonly progress: ProgressStyle;
}

const help = `
The folder gets last.pth (after the last step saved, with the optimizer's state), best.pth (of the best average precision), log.jsonl (a line a
step), report.html and config.json. The same command goes on where a training was cut off, and comes on a
CPU with as many threads to the same weights.

Examples:
  $ cornernet train --images train/ --annotations train.json --val-images val/ --val-annotations val.json --output run
  $ cornernet train --images train/ --annotations train.json --output run --from 10x5 --epochs 20
  $ cornernet train --config run/config.json --output again
  $ cornernet detect photo.jpg --weights run/best.pth

Exit codes: 0 done, 1 wrong usage or failed, 130 after Ctrl-C, which saves first; the training can go on after all of them.`;

export function register(command: Command): void {
  command
    .addOption(new Option('--config <file>', "options from a JSON file, such as a run's config.json; flags come before them"))
    .addOption(progressOption())
    .addOption(quietOption());
  addTableOptions(command, trainTable)
    .addHelpText('after', help)
    .action(async (flags: TrainFlags) => {
      process.exitCode = await run(flags);
    });
  // They may come from the configuration file: train() says what lacks.
  for (const option of command.options) if (option.long === '--images' || option.long === '--annotations') option.mandatory = false;
}

function ending({ state, iteration, iterations, best, bestAP, last }: TrainSummary, output: string): string {
  if (state === 'stopped') return `saved after step ${iteration} of ${iterations}; the same command goes on`;
  const words = best !== null && bestAP !== null ? `${best} has AP ${bestAP.toFixed(4)}` : `${last} is the result`;
  return `${words}; see ${output}/report.html`;
}

async function run(flags: TrainFlags): Promise<number> {
  using interrupt = onInterrupt(say);
  const progress = showTrainProgress(flags.progress);
  whenOutputFails(() => say('nobody takes the progress any more; the training goes on'));
  try {
    const stated = flags.config === undefined ? {} : await optionsIn(flags.config);
    const given = tableOptionsOf(trainTable, flags);
    // What stands in for something of the file's.
    const replaced = { epochs: 'iterations', iterations: 'epochs', from: 'architecture' } as const;
    const others = Object.entries(replaced).flatMap(([one, other]) => (one in given ? [[other, undefined] as const] : []));
    const beside: Partial<TrainOptions> = { ...stated, ...Object.fromEntries(others) };
    // A run's config.json has all that a preset would say.
    const itself = (['architecture', 'milestones'] as const).filter((name) => beside[name] !== undefined).join(' and ');
    if ('preset' in given && itself)
      throw new CornerNetError('ERR_OPTION', `--preset would not count beside ${flags.config}, which states ${itself}`);
    const { signal, finish } = interrupt;
    const summary = await train({ ...beside, ...given } as TrainOptions, {
      signal,
      finish,
      onProgress: progress.show,
      onMessage: say,
    });
    progress.stop();
    if (flags.progress === 'json') printMade(JSON.stringify({ event: 'end', ...summary }));
    say(ending(summary, flags.output));
    return summary.state === 'stopped' ? exitCodes.interrupted : exitCodes.done;
  } catch (error) {
    progress.stop();
    if (!interrupt.signal.aborted) throw error;
    say('given up at once; the last checkpoint saved stays, and the same command goes on');
    return exitCodes.interrupted;
  }
}
