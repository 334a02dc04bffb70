// cornernet eval: COCO's average precision of weights on annotated pictures, or of detections made elsewhere.
import { Option, type Command } from 'commander';

import { CornerNetError } from '../errors.js';
import { readAnnotations, readDetections, type CocoAnnotations, type CocoDetection } from '../coco/dataset.js';
import { detectSet, type DetectedSet } from '../coco/detect.js';
import { evaluateChecked, shownNumber, type CocoEvaluation, type CocoStats } from '../coco/evaluate.js';
import type { LoadOptions } from '../options/interfaces.js';
import { checkOutputFiles, writeText } from '../output-file.js';
import { defaultWeights, resolveWeights } from '../weights/weights.js';
import { checkLoadOptions } from '../options/check.js';
import { addDetectorOptions, given, loadOptionsOf, type DetectorFlags } from '../options/flags.js';
import { tell } from './terminal.js';
import { textTable } from '../text-table.js';
import { onInterrupt } from './interrupt.js';
import { countedProgress } from './progress.js';

interface EvalFlags extends DetectorFlags {
  readonly annotations: string;
  readonly images?: string;
  readonly detections?: string;
  readonly format: 'table' | 'json';
  readonly output?: string;
  readonly html?: string;
  readonly saveDetections?: string;
  readonly reference?: boolean;
  readonly quiet?: boolean;
}

const help = `
Detections of any score count unless --score-threshold says otherwise, as in published figures.
Of a detector's options --detections takes that one alone.

Examples:
  $ cornernet eval --images val2017/ --annotations instances_val2017.json --weights 10x5 --html page.html
  $ cornernet eval --annotations instances.json --detections results.json --format json
  $ cornernet eval --images val2017/ --annotations instances_val2017.json --weights 10x5 --reference`;

/** Of the confusion matrix and the drawings of detections made elsewhere, where --score-threshold is not given. */
const shownScore = 0.3;

export function register(command: Command): void {
  command
    .optionsGroup('Input:')
    .requiredOption('--annotations <file>', 'COCO annotations, as instances_val2017.json is')
    .option('--images <folder>', 'where the annotated pictures are; nothing outside it is read')
    .option('--detections <file>', 'evaluate these COCO results, instead of detecting')
    .optionsGroup('Output:')
    .addOption(new Option('-f, --format <format>', 'how to show the numbers').choices(['table', 'json']).default('table'))
    .option('-o, --output <file>', 'write them there instead of to standard output')
    .option('--html <file>', 'also write a page: precision over recall, confusion matrix, worst pictures')
    .option('--save-detections <file>', 'keep the detections as COCO results')
    .option('--reference', 'compare with the published AP, precisions with each other, and flip with none')
    .option('-q, --quiet', 'show no progress')
    .addHelpText('after', help)
    .action(evaluate);
  addDetectorOptions(command.optionsGroup('Options:'));
}

const sayWarning = (warning: string): void => tell(`warning: ${warning}`);

async function detect(flags: EvalFlags, annotations: CocoAnnotations, options: LoadOptions): Promise<DetectedSet> {
  if (flags.images === undefined) throw new CornerNetError('ERR_OPTION', 'name the pictures (--images) or the detections (--detections)');
  using interrupt = onInterrupt(() => undefined);
  using progress = countedProgress(annotations.images.length, flags.quiet === true);
  const { finish: signal } = interrupt;
  return await detectSet(annotations, flags.images, flags.weights, options, { signal, onPicture: (failed) => progress.advance(failed) });
}

function tableOf(annotations: CocoAnnotations, { stats, perClassAP }: CocoEvaluation): string {
  const summary = Object.entries(stats).map(([name, value]: [string, number]) => [name, shownNumber(value)]);
  const classes = annotations.categories.map(({ id, name }) => [name, shownNumber(perClassAP[String(id)] ?? -1)]);
  return `${textTable(['', 'value'], summary)}\n${textTable(['class', 'AP'], classes)}\n`;
}

async function writePage(
  file: string,
  flags: EvalFlags,
  shownThere: { annotations: CocoAnnotations; detections: readonly CocoDetection[]; evaluation: CocoEvaluation },
  set: DetectedSet | undefined,
): Promise<void> {
  const weights = flags.weights ?? defaultWeights();
  const scoreThreshold = flags.scoreThreshold ?? (set ? resolveWeights(weights).scoreThreshold : shownScore);
  const what = set ? `${weights} on ${set.device} in ${set.precision}` : (flags.detections ?? '');
  const { images, annotations } = shownThere.annotations;
  const subject = `${what}, ${images.length} pictures, ${annotations.length} objects.`;
  const { evaluationPage } = await import('../coco/page.js'); // with the charts
  await writeText(file, await evaluationPage({ ...shownThere, images: flags.images, subject, scoreThreshold }));
}

/** What `--reference` does in its own way, or for no one run. */
function checkReference({ detections, html, saveDetections, flip }: EvalFlags): void {
  const flipFlag = flip === false ? '--no-flip' : '--flip';
  const others = { '--detections': detections, '--html': html, '--save-detections': saveDetections, [flipFlag]: flip };
  const given = Object.entries(others).find(([, value]) => value !== undefined)?.[0];
  if (given === undefined) return;
  throw new CornerNetError('ERR_OPTION', `--reference compares runs of its own, with flip and without: leave ${given} out`);
}

/** Of a detector's options `--detections` have the threshold alone. */
function checkMade({ weights, ...flags }: EvalFlags): void {
  const misfit = Object.keys(given({ weights, ...checkLoadOptions(loadOptionsOf(flags)) })).find((name) => name !== 'scoreThreshold');
  if (misfit === undefined) return;
  throw new CornerNetError('ERR_OPTION', `--detections are evaluated without a detector: leave option ${misfit} out`);
}

async function evaluate(flags: EvalFlags): Promise<void> {
  if (flags.reference === true) checkReference(flags);
  else if (flags.detections !== undefined) checkMade(flags);
  await checkOutputFiles([flags.output, flags.html, flags.saveDetections], [flags.annotations, flags.detections, flags.weights]);
  const annotations = await readAnnotations(flags.annotations);
  if (flags.reference === true) return compare(flags, annotations);
  const set = flags.detections === undefined ? await detect(flags, annotations, loadOptionsOf(flags)) : undefined;
  const { scoreThreshold = -Infinity } = flags;
  const detections = set?.detections ?? (await readDetections(flags.detections ?? '')).filter(({ score }) => score >= scoreThreshold);
  const evaluated = evaluateChecked(annotations, detections);
  const evaluation = { ...evaluated, warnings: [...(set?.warnings ?? []), ...evaluated.warnings] };
  const { stats, perClassAP, warnings } = evaluation;
  for (const warning of warnings) sayWarning(warning);
  if (flags.saveDetections !== undefined) await writeText(flags.saveDetections, `${JSON.stringify(detections)}\n`);
  if (flags.html !== undefined) await writePage(flags.html, flags, { annotations, detections, evaluation }, set);
  const text = flags.format === 'json' ? `${JSON.stringify({ stats, perClassAP }, null, 1)}\n` : tableOf(annotations, evaluation);
  await writeText(flags.output, text); // last: whoever closes the output early has the files
}

interface Compared {
  readonly precision: string;
  readonly flip: boolean;
  readonly device: string;
  readonly stats: CocoStats;
}

/** The precision that was asked for, else each floating-point one that the device has, with flip and without. */
async function compare(flags: EvalFlags, annotations: CocoAnnotations): Promise<void> {
  const rows: Compared[] = [];
  let lack: CornerNetError | undefined;
  const precisions = flags.precision === undefined || flags.precision === 'auto' ? (['fp32', 'bf16', 'fp16'] as const) : [flags.precision];
  for (const precision of precisions) {
    for (const flip of [true, false]) {
      try {
        const set = await detect(flags, annotations, { ...loadOptionsOf(flags), precision, flip });
        const { stats, warnings } = evaluateChecked(annotations, set.detections);
        if (rows.length === 0) for (const warning of [...set.warnings, ...warnings]) sayWarning(warning);
        rows.push({ precision, flip, device: set.device, stats });
      } catch (error) {
        if (!(error instanceof CornerNetError) || error.code !== 'ERR_DEVICE' || precisions.length === 1) throw error;
        lack = error;
        tell(`${precision} is left out: ${error.message}`);
        break;
      }
    }
  }
  if (rows.length === 0 && lack) throw lack;
  const { entry } = resolveWeights(flags.weights ?? defaultWeights());
  const published = entry && { ap: entry.ap / 100, flip: entry.flip };
  if (flags.format === 'json') {
    await writeText(flags.output, `${JSON.stringify({ published: published ?? null, rows }, null, 1)}\n`);
    return;
  }
  await writeText(flags.output, comparison(rows, published));
}

function comparison(rows: readonly Compared[], published: { ap: number; flip: boolean } | undefined): string {
  const points = (difference: number): string => `${difference < 0 ? '' : '+'}${(100 * difference).toFixed(2)}`;
  const cells = rows.map(({ precision, flip, stats }) => {
    const exact = rows.find((row) => row.precision === 'fp32' && row.flip === flip);
    const unflipped = rows.find((row) => row.precision === precision && !row.flip);
    const against = (ap: number | undefined): string => (ap === undefined ? '' : points(stats.AP - ap));
    return [
      ...[precision, flip ? 'yes' : 'no', shownNumber(stats.AP), shownNumber(stats.AP50), shownNumber(stats.AP75)],
      ...[against(exact?.stats.AP), against(unflipped?.stats.AP), against(published?.flip === flip ? published.ap : undefined)],
    ];
  });
  const head = ['precision', 'flip', 'AP', 'AP50', 'AP75', 'against fp32', 'against no flip', 'against published'];
  const sentence = published ? `Published: AP ${(100 * published.ap).toFixed(1)} ${published.flip ? 'with' : 'without'} flip. ` : '';
  return `${textTable(head, cells)}\n${sentence}Differences in points of AP.\n`;
}
