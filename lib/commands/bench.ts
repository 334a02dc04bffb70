// cornernet bench: how fast the network, its operators and the whole way are on this machine, and what changed between two runs.
import { basename } from 'node:path';

import { Option, type Command } from 'commander';

import { compareReports } from '../bench/compare.js';
import { CutShort } from '../bench/cut.js';
import { benchKernels } from '../bench/kernels.js';
import { benchModel } from '../bench/model.js';
import { benchPipeline } from '../bench/pipeline.js';
import { readReport, shownViews, trainName, type FixedPrecision, type Report, type TrainPrecision } from '../bench/schema.js';
import { comparisonTable, describeReport, drawTable, furtherTables, resultTable } from '../bench/tables.js';
import { benchTrain, type TrainCase } from '../bench/train.js';
import type { Rule } from '../bench/windows.js';
import type { NetworkWork } from '../detector/result.js';
import { CornerNetError } from '../errors.js';
import type { Size } from '../images/image.js';
import { expandInputs } from '../inputs/expand.js';
import { loadNative } from '../native.js';
import { checkLoadOptions } from '../options/check.js';
import type { LoadOptions } from '../options/interfaces.js';
import { defaultMaxPixels, type Precision } from '../options/values.js';
import { checkOutputFiles, writeText } from '../output-file.js';
import { defaultWeights, listWeights } from '../weights/weights.js';
import { exitCodes } from './failure.js';
import { addDetectorOptions, addTableOptions, loadOptionsOf, numeric, weightsOption, type DetectorFlags } from '../options/flags.js';
import { detectAllTable } from '../options/table.js';
import { print, printMade, tell } from './terminal.js';
import { shown } from '../validation.js';

interface CommonFlags {
  readonly device?: readonly string[];
  readonly threads?: number;
  readonly duration: number;
  readonly window?: number;
  readonly stableWithin: number;
  readonly json?: string;
  readonly html?: string;
  readonly quiet?: boolean;
}

interface ModelFlags extends CommonFlags, Pick<DetectorFlags, 'scales'> {
  readonly weights?: string;
  readonly precision: string;
  readonly sizes: string;
  readonly batch: string;
  readonly views: string;
}

interface PipelineFlags extends CommonFlags, Pick<DetectorFlags, 'weights' | 'precision' | 'flip'> {
  readonly batch: number;
  readonly concurrency?: number;
}

interface KernelsFlags extends Pick<CommonFlags, 'threads' | 'duration' | 'json' | 'html' | 'quiet'> {
  readonly device: string;
  readonly precision: string;
  readonly sizes: string;
  readonly views: number;
  readonly operators?: string;
}

const examples = `
Examples:
  $ cornernet bench model --weights 10x5 --sizes 511x511,640x480 --views 1,2 --json model.json --html model.html
  $ cornernet bench kernels --precision fp32,bf16 --html kernels.html
  $ cornernet bench pipeline pictures/ --weights 10x5
  $ cornernet bench train --precision fp32,bf16 --recompute no,yes
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

/** @param scale the largest that each is looked at in. */
function sizesOf(text: string, scale = 1): Size[] {
  return listOf(text, '--sizes').map((item) => {
    const [, width, height] = (/^(\d{1,5})x(\d{1,5})$/.exec(item) ?? []).map(Number);
    if (!width || !height) throw new CornerNetError('ERR_OPTION', `--sizes takes sizes in pixels such as 640x480, not '${item}'`);
    if (width * height * scale ** 2 > defaultMaxPixels)
      throw new CornerNetError(
        'ERR_OPTION',
        `--sizes takes sizes of at most ${defaultMaxPixels} pixels${scale > 1 ? ` at --scales ${scale}` : ''}, not '${item}'`,
      );
    return { width, height };
  });
}

function within(flag: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw new CornerNetError('ERR_OPTION', `${flag} must be ${least} to ${most}, not ${value}`);
}

const durationOf = ({ duration }: Pick<CommonFlags, 'duration'>): number => within('--duration', duration, 0.01, 86_400);

function ruleOf(flags: CommonFlags): Rule {
  const limitSeconds = durationOf(flags);
  const windowSeconds = within('--window', flags.window ?? Math.min(2, limitSeconds), 0.01, 600);
  if (windowSeconds > limitSeconds)
    throw new CornerNetError(
      'ERR_OPTION',
      `--window ${windowSeconds} is longer than --duration ${limitSeconds}, the most that one measurement takes`,
    );
  return {
    windowSeconds,
    stableWithin: within('--stable-within', flags.stableWithin, 0.1, 100) / 100,
    limitSeconds,
  };
}

function weightsOf(chosen: string | undefined): { weights: string; weightsName: string } {
  const weights = chosen ?? defaultWeights();
  return { weights, weightsName: listWeights().some(({ id }) => id === weights) ? weights : basename(weights) };
}

/**
 * Measures, once it is known that the files can be written and are none of the inputs, writes them and shows the tables; of a measurement cut short
 * too, before it throws.
 */
export async function publish(
  { json, html }: Pick<CommonFlags, 'json' | 'html'>,
  inputs: readonly (string | undefined)[],
  measure: () => Promise<Report>,
): Promise<void> {
  await checkOutputFiles([json, html], inputs);
  let cut: CutShort | undefined;
  const report = await measure().catch((error: unknown) => {
    if (!(error instanceof CutShort)) throw error;
    cut = error;
    return cut.report;
  });
  if (json !== undefined) await writeText(json, `${JSON.stringify(report)}\n`);
  if (html !== undefined) {
    const { writeReportPage } = await import('../bench/page.js'); // with the plotting library, half a second to load
    await writeReportPage(html, report);
  }
  for (const line of describeReport(report)) print(line);
  for (const table of [resultTable(report), ...furtherTables(report)]) printMade(drawTable(table));
  if (cut) throw cut.cause;
}

function say({ quiet }: Pick<CommonFlags, 'quiet'>, text: string): void {
  if (quiet !== true) tell(text);
}

/** One device: figures of several would be nobody's. */
function loadOf(flags: Pick<DetectorFlags, 'device' | 'threads' | 'precision'>): LoadOptions {
  const load = checkLoadOptions(loadOptionsOf(flags));
  if (typeof load.device === 'object')
    throw new CornerNetError('ERR_OPTION', `--device takes one device to measure, not ${shown(flags.device?.join())}`);
  return load;
}

async function runModel(flags: ModelFlags): Promise<void> {
  await publish(flags, [flags.weights], () =>
    benchModel({
      ...weightsOf(flags.weights),
      load: loadOf({ device: flags.device, threads: flags.threads }),
      precisions: listOf(flags.precision, '--precision') as Precision[], // checked by `Detector.load`
      sizes: sizesOf(flags.sizes, Math.max(1, ...(flags.scales ?? []))),
      views: wholeNumbers(flags.views, '--views', 2) as (1 | 2)[],
      scales: flags.scales,
      batches: wholeNumbers(flags.batch, '--batch', 1024),
      rule: ruleOf(flags),
      tell: (r) =>
        say(flags, `${r.width}x${r.height} ${r.precision} views ${shownViews(r)} batch ${r.batch}: ${r.latency.summary.p50.toFixed(1)} ms`),
    }),
  );
}

function addOutput(command: Command): Command {
  return command
    .option('--json <file>', 'write everything that was measured')
    .option('--html <file>', 'write one page with tables and plots')
    .option('-q, --quiet', 'show no progress');
}

function addCommon(command: Command): Command {
  const timed = addDetectorOptions(command, ['device', 'threads'])
    .addOption(numeric('--duration <s>', 'the most that one measurement takes; warming up may take as long again').default(30))
    .addOption(numeric('--window <s>', 'seconds of a window (default: 2, or --duration where that is less)'))
    .addOption(numeric('--stable-within <percent>', 'the medians of the last three windows must agree so far').default(5));
  return addOutput(timed);
}

async function runPipeline(inputs: string[], flags: PipelineFlags): Promise<void> {
  await publish(flags, [...inputs, flags.weights], async () =>
    benchPipeline({
      files: await expandInputs(inputs),
      ...weightsOf(flags.weights),
      load: loadOf(flags),
      batchSize: flags.batch,
      concurrency: flags.concurrency,
      flip: flags.flip,
      rule: ruleOf(flags),
      tell: (rate) => say(flags, `${rate.toFixed(1)} pictures a second; now the network alone`),
    }),
  );
}

/** 'auto' as Detector.load resolves it. */
function kernelDevice(device: string): string {
  if (device === 'auto') return loadNative().gpuInfo().devices[0]?.obstacle === '' ? 'cuda:0' : 'cpu';
  return device === 'cuda' ? 'cuda:0' : device;
}

function fixedPrecisions<T extends FixedPrecision>(text: string, known: readonly T[], others = ''): T[] {
  const precisions = listOf(text, '--precision') as T[];
  const wrong = precisions.find((precision) => !known.includes(precision));
  if (wrong === undefined) return precisions;
  throw new CornerNetError('ERR_OPTION', `--precision takes ${others}${known.slice(0, -1).join(', ')} and ${known.at(-1)}, not '${wrong}'`);
}

/** 'auto' is fp32 and what the network would run in. */
function kernelPrecisions(text: string, device: string): FixedPrecision[] {
  if (text !== 'auto') return fixedPrecisions<FixedPrecision>(text, ['fp32', 'bf16', 'fp16', 'int8'], 'auto, ');
  if (device !== 'cpu') return ['fp32', 'fp16'];
  return loadNative().buildInfo().cpuFeatures.includes('avx512_bf16') ? ['fp32', 'bf16'] : ['fp32'];
}

async function runKernels(flags: KernelsFlags): Promise<void> {
  const operators = flags.operators === undefined ? [] : (listOf(flags.operators, '--operators') as NetworkWork['op'][]);
  const unknown = operators.find((operator) => !['conv', 'pool_pair', 'upsample_add'].includes(operator));
  if (unknown !== undefined) throw new CornerNetError('ERR_OPTION', `--operators takes conv, pool_pair and upsample_add, not '${unknown}'`);
  const device = kernelDevice(flags.device);
  await publish(flags, [], () =>
    benchKernels({
      device,
      threads: loadOf({ threads: flags.threads }).threads ?? 0,
      precisions: kernelPrecisions(flags.precision, device),
      sizes: sizesOf(flags.sizes),
      views: wholeNumbers(String(flags.views), '--views', 64)[0] as number,
      seconds: durationOf(flags),
      operators,
      tell: (r) => say(flags, `${r.precision} ${r.name} ${r.shape}: ${(1e6 * r.ours.backToBack.p50).toFixed(0)} us`),
    }),
  );
}

interface TrainBenchFlags extends CommonFlags {
  readonly network: 'hourglass104' | 'small';
  readonly precision: string;
  readonly size?: string;
  readonly batch?: string;
  readonly recompute: string;
}

async function runTrain(flags: TrainBenchFlags): Promise<void> {
  const { network } = flags;
  const { device = 'cpu', threads = 0 } = loadOf({ device: flags.device, threads: flags.threads });
  const small = network === 'small';
  const [sizes, batches] = [
    wholeNumbers(flags.size ?? (small ? '255' : '511'), '--size', 4096),
    wholeNumbers(flags.batch ?? (small ? '8' : '1'), '--batch', 1024),
  ];
  const again = listOf(flags.recompute, '--recompute').map((word) => {
    if (word !== 'yes' && word !== 'no') throw new CornerNetError('ERR_OPTION', `--recompute takes yes, no or both, not '${word}'`);
    return word === 'yes';
  });
  const cases = fixedPrecisions<TrainPrecision>(flags.precision, ['fp32', 'bf16', 'fp16']).flatMap((precision) =>
    sizes.flatMap((size) =>
      batches.flatMap((batch) =>
        again.map((recompute): TrainCase => {
          return { network, device: device as string, precision, threads, size, batch, recompute };
        }),
      ),
    ),
  );
  await publish(flags, [], () =>
    benchTrain({
      cases,
      rule: ruleOf(flags),
      tell: (r) => say(flags, `${trainName(r)}: ${r.step.summary.p50.toFixed(0)} ms`),
    }),
  );
}

interface CompareFlags {
  readonly json?: string;
  readonly failIfSlower?: boolean;
}

async function runCompare(before: string, after: string, { json, failIfSlower }: CompareFlags): Promise<void> {
  await checkOutputFiles([json], [before, after]);
  const comparison = compareReports(await readReport(before), await readReport(after));
  if (json !== undefined) await writeText(json, `${JSON.stringify(comparison)}\n`);
  for (const warning of comparison.warnings) print(`differs: ${warning}`);
  printMade(drawTable(comparisonTable(comparison)));
  const slower = comparison.changes.filter(({ judgement }) => judgement === 'slower');
  const faster = comparison.changes.filter(({ judgement }) => judgement === 'faster').length;
  print(`${faster} faster, ${slower.length} slower, ${comparison.changes.length - faster - slower.length} neither`);
  if (failIfSlower !== true) return;
  for (const { name, doubt } of slower) if (doubt !== '') print(`slower, but too doubtful to fail: ${name} (${doubt})`);
  if (slower.some(({ doubt }) => doubt === '')) process.exitCode = exitCodes.someFailed;
}

export function register(bench: Command): void {
  bench.addHelpText('after', examples);
  addDetectorOptions(
    addCommon(
      bench
        .command('model')
        .description('latency and throughput of the network by size, views, batch and precision')
        .addOption(weightsOption()),
    ),
    ['scales'],
  )
    .addOption(new Option('--precision <list>', 'auto, fp32, bf16, fp16, and int8 with weights that `quantize` calibrated').default('auto'))
    .addOption(new Option('--sizes <list>', "pictures' sizes in pixels").default('511x511'))
    .addOption(new Option('--views <list>', '1, or 2 with the mirrored view').default('1,2'))
    .addOption(new Option('--batch <list>', 'pictures a call').default('1'))
    .action(runModel);
  const pipeline = addCommon(
    bench
      .command('pipeline')
      .description('the whole way from picture files to JSON lines, with the occupancy of each stage')
      .argument('<inputs...>', 'pictures, folders, globs, or - for a list of paths on standard input')
      .addOption(weightsOption()),
  )
    .option('--precision <precision>', 'auto, fp32, bf16, fp16 or int8 (default: auto)')
    .option('--flip', 'also look at the mirrored picture and merge (default: as the weights were tested)')
    .option('--no-flip', 'look at the plain picture only')
    .addOption(numeric('--batch <n>', 'pictures of one padded size that share a forward').default(1))
    .action(runPipeline);
  addTableOptions(pipeline, { concurrency: detectAllTable.concurrency });
  const kernels = bench
    .command('kernels')
    .description("each operator over HourglassNet-104's shapes: verified, then timed against ATen, a copy and the machine's roofline")
    .addOption(new Option('--device <device>', 'auto, cpu, cuda or cuda:N').default('auto'))
    .addOption(numeric('--threads <n>', 'CPU threads (default: the cores this process may use)'))
    .addOption(new Option('--precision <list>', 'fp32, bf16, fp16, int8; auto: fp32 and what the network would run in').default('auto'))
    .addOption(new Option('--sizes <list>', "pictures' sizes in pixels").default('511x511'))
    .addOption(numeric('--views <n>', 'views in one forward').default(1))
    .option('--operators <list>', 'conv, pool_pair, upsample_add (default: all)')
    .addOption(numeric('--duration <s>', 'seconds for each operator and shape').default(1))
    .action(runKernels);
  addOutput(kernels);
  addCommon(
    bench.command('train').description('one step of training: forward, losses, backward, clipping, Adam; and the memory that it takes'),
  )
    .addOption(new Option('--network <network>', 'hourglass104 or small').choices(['hourglass104', 'small']).default('hourglass104'))
    .addOption(new Option('--precision <list>', 'fp32, bf16, fp16').default('fp32,bf16'))
    .option('--size <list>', 'pixels of a side of what the network sees (default: 511, small 255)')
    .option('--batch <list>', 'pictures a step (default: 1, small 8)')
    .addOption(new Option('--recompute <list>', 'whether activations are computed again: yes, no').default('no'))
    .action(runTrain);
  bench
    .command('compare')
    .description('what got faster or slower beyond the noise of both reports')
    .argument('<before>', 'JSON of an earlier run')
    .argument('<after>', 'JSON of a later run of the same kind')
    .option('--json <file>', 'write the comparison')
    .option('--fail-if-slower', 'exit code 2 when anything got slower whose figures are stable and undisturbed')
    .action(runCompare);
  bench
    .command('show')
    .description('the tables and the page of a run that was kept')
    .argument('<report>', 'JSON of a run')
    .option('--html <file>', 'write one page with tables and plots')
    .action((report: string, flags: Pick<CommonFlags, 'html'>) => publish(flags, [report], () => readReport(report)));
}
