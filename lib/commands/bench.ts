// cornernet bench: how fast the network, its operators and the whole way are on this machine, and what changed between two runs.
import { basename } from 'node:path';

import { Option, type Command } from 'commander';

import { benchModel, type PictureSize } from '../bench/model.js';
import type { Report } from '../bench/schema.js';
import { describeReport, drawTable, resultTable } from '../bench/tables.js';
import type { Rule } from '../bench/windows.js';
import { CornerNetError } from '../errors.js';
import type { Precision } from '../options.js';
import { openOutput } from '../output-file.js';
import { defaultWeights, listWeights } from '../weights.js';
import { loadOptionsOf, numeric } from './detector-options.js';

interface CommonFlags {
  readonly device?: string;
  readonly threads?: number;
  readonly duration: number;
  readonly window: number;
  readonly stableWithin: number;
  readonly json?: string;
  readonly html?: string;
  readonly quiet?: boolean;
}

interface ModelFlags extends CommonFlags {
  readonly weights?: string;
  readonly precision: string;
  readonly sizes: string;
  readonly batch: string;
  readonly views: string;
}

const examples = `
Examples:
  $ cornernet bench model --weights 10x5 --sizes 511x511,640x480 --views 1,2 --json model.json --html model.html
  $ cornernet bench kernels --precision fp32,bf16 --html kernels.html
  $ cornernet bench pipeline pictures/ --weights 10x5
  $ cornernet bench compare before.json after.json`;

function listOf(text: string, flag: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.some((item) => item === '')) throw new CornerNetError('ERR_OPTION', `${flag} takes a list separated by commas, not '${text}'`);
  return [...new Set(items)];
}

function wholeNumbers(text: string, flag: string, most: number): number[] {
  return listOf(text, flag).map((item) => {
    const value = /^\d+$/.test(item) ? Number(item) : NaN;
    if (!(value >= 1 && value <= most))
      throw new CornerNetError('ERR_OPTION', `${flag} takes whole numbers from 1 to ${most}, not '${item}'`);
    return value;
  });
}

function sizesOf(text: string): PictureSize[] {
  return listOf(text, '--sizes').map((item) => {
    const [, width, height] = (/^(\d{1,5})x(\d{1,5})$/.exec(item) ?? []).map(Number);
    if (!width || !height) throw new CornerNetError('ERR_OPTION', `--sizes takes sizes in pixels such as 640x480, not '${item}'`);
    return { width, height };
  });
}

/** Values are checked where they are used, by `Detector.load`. */
function precisionsOf(text: string): Precision[] {
  return listOf(text, '--precision') as Precision[];
}

function ruleOf({ window, stableWithin, duration }: CommonFlags): Rule {
  const within = (name: string, value: number, least: number, most: number): void => {
    if (!(value >= least && value <= most)) throw new CornerNetError('ERR_OPTION', `${name} must be ${least} to ${most}, not ${value}`);
  };
  within('--window', window, 0.01, 600);
  within('--stable-within', stableWithin, 0.1, 100);
  within('--duration', duration, 0.01, 86_400);
  return { windowSeconds: window, stableWithin: stableWithin / 100, limitSeconds: duration };
}

function weightsOf(chosen: string | undefined): { weights: string; weightsName: string } {
  const weights = chosen ?? defaultWeights();
  return { weights, weightsName: listWeights().some(({ id }) => id === weights) ? weights : basename(weights) };
}

/** Writes what was asked for and shows the table. */
async function publish(report: Report, { json, html }: CommonFlags): Promise<void> {
  if (json !== undefined) {
    const output = openOutput(json);
    await output.write(`${JSON.stringify(report)}\n`);
    await output.commit();
  }
  if (html !== undefined) {
    const { writeReportPage } = await import('../bench/page.js'); // with the plotting library, half a second to load
    await writeReportPage(html, report);
  }
  console.log(describeReport(report).join('\n'));
  console.log(drawTable(resultTable(report)));
}

function say({ quiet }: CommonFlags, text: string): void {
  if (quiet !== true) console.error(text);
}

async function runModel(flags: ModelFlags): Promise<void> {
  const rule = ruleOf(flags);
  const report = await benchModel({
    ...weightsOf(flags.weights),
    load: loadOptionsOf({
      ...(flags.device !== undefined && { device: flags.device }),
      ...(flags.threads !== undefined && { threads: flags.threads }),
    }),
    precisions: precisionsOf(flags.precision),
    sizes: sizesOf(flags.sizes),
    views: wholeNumbers(flags.views, '--views', 2) as (1 | 2)[],
    batches: wholeNumbers(flags.batch, '--batch', 1024),
    rule,
    tell: (r) =>
      say(flags, `${r.width}x${r.height} ${r.precision} views ${r.views} batch ${r.batch}: ${r.latency.summary.p50.toFixed(1)} ms`),
  });
  await publish(report, flags);
}

function addCommon(command: Command): Command {
  return command
    .option('--device <device>', 'auto, cpu, cuda or cuda:N (default: auto)')
    .addOption(numeric('--threads <n>', 'CPU threads of the network (default: the cores this process may use)'))
    .addOption(numeric('--duration <s>', 'the most that one measurement takes; warming up may take as long again').default(30))
    .addOption(numeric('--window <s>', 'seconds of a window').default(2))
    .addOption(numeric('--stable-within <percent>', 'the medians of the last three windows must agree so far').default(5))
    .option('--json <file>', 'write everything that was measured')
    .option('--html <file>', 'write one page with tables and plots')
    .option('-q, --quiet', 'show no progress');
}

export function register(program: Command): void {
  const bench = program
    .command('bench')
    .description('measure speed: of the network, its operators and the whole way from files to JSON')
    .addHelpText('after', examples);
  addCommon(
    bench
      .command('model')
      .description('latency and throughput of the network by size, views, batch and precision')
      .option('-w, --weights <id|file>', 'weights: an id of `cornernet weights list` or an mmdetection .pth (default: the digits)'),
  )
    .addOption(new Option('--precision <list>', 'auto, fp32, bf16, fp16').default('auto'))
    .addOption(new Option('--sizes <list>', "pictures' sizes in pixels").default('511x511'))
    .addOption(new Option('--views <list>', '1, or 2 with the mirrored view').default('1,2'))
    .addOption(new Option('--batch <list>', 'pictures a call').default('1'))
    .action(runModel);
}
