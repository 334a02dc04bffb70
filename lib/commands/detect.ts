// cornernet detect: objects in pictures, as JSON lines, COCO results, CSV or a table.
import { resolve } from 'node:path';

import { Option, type Command } from 'commander';
import type { Sharp } from 'sharp';

import { Detector } from '../detector/detector.js';
import type { Detection } from '../detector/result.js';
import { CornerNetError } from '../errors.js';
import type { ImageSource } from '../images/source.js';
import { sourceOf, type Entry } from '../inputs/entry.js';
import { expandEntries, PassedOver } from '../inputs/expand.js';
import { addDetectorOptions, loadOptionsOf, type DetectorFlags } from '../options/flags.js';
import { checkNoInput, checkOutputFiles, checkOutputFolder, writeText } from '../output-file.js';
import { ofDetections, renderBoxes } from '../render/boxes.js';
import { DrawingFolder } from '../render/folder.js';
import { renderHeatmaps } from '../render/heatmaps.js';
import { say, tell, whenOutputFails } from './terminal.js';
import { defaultWeights } from '../weights/weights.js';
import { checkPictures } from '../writers/coco.js';
import { openResults, resultFiles, type Format } from '../writers/open.js';
import { exitCodes, reportFailure } from './failure.js';
import { onInterrupt, type Interrupt } from './interrupt.js';
import { countedProgress } from './progress.js';

export interface DetectFlags extends DetectorFlags {
  readonly format: Format;
  readonly output?: string;
  readonly annotations?: string;
  readonly draw?: string;
  readonly heatmaps?: string;
  readonly quiet?: boolean;
}

/** What the default weights find. */
const defaultKnows = 'only handwritten digits';

const examples = `
Examples:
  $ cornernet detect photo.jpg --format table
  $ cornernet detect pictures/ --weights 10x5 --output results.jsonl --draw drawn/
  $ cornernet detect 'shots/**/*.png' --weights my.pth --no-flip --score-threshold 0
  $ find . -name '*.jpg' -print0 | cornernet detect - --format coco --output results.json
  $ curl https://host/photo.jpg | cornernet detect - --weights 10x5

Exit codes: 0 all done, 1 wrong usage or nothing done, 2 some pictures failed or are not drawn, 130 after Ctrl-C or SIGTERM.`;

export function register(command: Command): void {
  command
    .argument(
      '<inputs...>',
      "pictures, folders, globs, or - for standard input: a picture's bytes, or a list of paths (lines, or find -print0)",
    )
    .optionsGroup('Output:')
    .addOption(new Option('-f, --format <format>', 'what to write').choices(['jsonl', 'coco', 'csv', 'table']).default('jsonl'))
    .option('-o, --output <file>', 'write there instead of to standard output')
    .option('--annotations <file>', 'COCO annotations whose picture and category ids --format coco uses')
    .option('--draw <folder>', 'draw labelled boxes over each picture')
    .option('--heatmaps <folder>', 'draw the corner heatmaps and the paired corners over each picture; not with --tiles')
    .option('-q, --quiet', 'show no progress')
    .addHelpText('after', examples)
    .action(async (inputs: string[], flags: DetectFlags) => {
      process.exitCode = await detectInputs(inputs, flags);
    });
  addDetectorOptions(command.optionsGroup('Options:'));
}

/** What can be refused before any work. */
async function checkFlags(flags: DetectFlags): Promise<void> {
  const { format, output, annotations, draw, heatmaps } = flags;
  if (annotations !== undefined && format !== 'coco') {
    throw new CornerNetError('ERR_OPTION', `--annotations gives the ids of --format coco: --format ${format} takes none`);
  }
  if (format === 'coco' && output === undefined && annotations === undefined) {
    throw new CornerNetError(
      'ERR_OPTION',
      '--format coco needs --output, where the list of picture ids goes beside, or --annotations that has them',
    );
  }
  if (draw !== undefined && heatmaps !== undefined && resolve(draw) === resolve(heatmaps)) {
    throw new CornerNetError('ERR_OPTION', '--draw and --heatmaps name the same folder, where their pictures would replace each other');
  }
  if (heatmaps !== undefined && loadOptionsOf(flags).tiles !== undefined) {
    throw new CornerNetError('ERR_OPTION', '--heatmaps are of pictures as the network sees them whole: leave --tiles or --heatmaps out');
  }
  await checkOutputFiles(await resultFiles(format, output, annotations));
  for (const folder of [draw, heatmaps]) if (folder !== undefined) await checkOutputFolder(folder);
}

/** That results and drawings replace nothing that is read. */
async function checkReplaced(
  entries: readonly Entry[],
  { format, output, draw, heatmaps, annotations, weights }: DetectFlags,
): Promise<void> {
  const paths = entries.map(({ path }) => path);
  const drawings = [draw, heatmaps].flatMap((folder) => {
    const drawn = folder === undefined ? undefined : new DrawingFolder(folder);
    return drawn ? paths.map((path) => drawn.fileFor(path)) : [];
  });
  await checkNoInput([...(await resultFiles(format, output, annotations)), ...drawings], [...paths, annotations, weights]);
}

/** Draws what was asked for. */
function drawerFor(flags: DetectFlags, detector: Detector): (entry: Entry, detections: readonly Detection[]) => Promise<void> {
  const boxes = flags.draw === undefined ? undefined : new DrawingFolder(flags.draw);
  const heatmaps = flags.heatmaps === undefined ? undefined : new DrawingFolder(flags.heatmaps);
  const { maxPixels = Number.MAX_SAFE_INTEGER, timeout } = flags; // the detector has checked them already
  const save = async (drawing: Sharp, file: string): Promise<void> => writeText(file, await drawing.toBuffer(), false);
  return async (entry, detections) => {
    const picture = sourceOf(entry);
    if (boxes) await save(await renderBoxes(picture, ofDetections(detections), { maxPixels, timeout }), boxes.fileFor(entry.path));
    if (!heatmaps) return;
    const drawing = await renderHeatmaps(picture, await detector.heads(picture), detections, { maxPixels, timeout });
    await save(drawing, heatmaps.fileFor(entry.path));
  };
}

/** Pictures whose failures are said where the results have no place for them. */
const mostSaid = 20;

/** How many pictures came to what. */
interface Counts {
  done: number;
  failed: number;
  /** Of those that did not fail. */
  undrawn: number;
  objects: number;
}

/** Detects and draws until it is interrupted; the results are written when this returns, or nothing is. */
async function run(entries: readonly Entry[], flags: DetectFlags, detector: Detector, interrupt: Interrupt): Promise<Counts> {
  const writer = await openResults(flags.format, flags.output, {
    classes: detector.classes,
    keep: flags.classes,
    annotations: flags.annotations,
  });
  const draw = drawerFor(flags, detector);
  const progress = countedProgress(entries.length, flags.quiet === true);
  const untilInterrupted = function* (): Generator<ImageSource> {
    for (const entry of entries) {
      if (interrupt.finish.aborted) return;
      yield sourceOf(entry);
    }
  };
  const counts: Counts = { done: 0, failed: 0, undrawn: 0, objects: 0 };
  try {
    for await (const result of detector.detectAll(untilInterrupted(), { signal: interrupt.signal })) {
      const entry = entries[counts.done] as Entry;
      await writer.write({ ...result, image: entry.path });
      if ('error' in result) {
        counts.failed++;
        if (writer.omitsFailures && counts.failed <= mostSaid) reportFailure(result.error, `${entry.path} failed`);
        if (writer.omitsFailures && counts.failed === mostSaid + 1) say('further failures are not said one by one');
      } else {
        counts.objects += result.detections.length;
        await draw(entry, result.detections).catch((error: unknown) => {
          counts.undrawn++;
          reportFailure(error, `${entry.path} is not drawn`);
        });
      }
      counts.done++;
      progress.advance('error' in result);
    }
  } catch (error) {
    if (!interrupt.signal.aborted) {
      await writer.discard();
      throw error;
    }
  } finally {
    progress.stop();
  }
  await writer.end();
  return counts;
}

/** What a user should know who named no weights or no device. */
function choices(flags: DetectFlags, detector: Detector): string {
  const weights = flags.weights === undefined ? [`the weights ${defaultWeights()} (${defaultKnows}; others: --weights)`] : [];
  const device = flags.device === undefined ? [detector.device, detector.precision] : [];
  return [...weights, ...device].join(', ');
}

/** Detects in what the inputs name and writes the results in their order; returns the exit code. */
export async function detectInputs(inputs: readonly string[], flags: DetectFlags): Promise<number> {
  const sayUnlessQuiet = (text: string): void => (flags.quiet === true || text === '' ? undefined : say(text));
  await checkFlags(flags);
  if (flags.draw !== undefined || flags.heatmaps !== undefined)
    whenOutputFails(() => {
      tell('ERR_WRITE: nobody takes the output any more: given up');
      process.exit(exitCodes.failed);
    });
  const skipped = new PassedOver();
  const entries = await expandEntries(inputs, { takePicture: true, onPassedOver: skipped.count });
  await checkReplaced(entries, flags);
  sayUnlessQuiet(skipped.sentence);
  if (flags.annotations !== undefined) await checkPictures(flags.annotations, entries.map(({ path }) => path)); // prettier-ignore
  await using detector = await Detector.load(flags.weights, loadOptionsOf(flags));
  sayUnlessQuiet(choices(flags, detector));
  using interrupt = onInterrupt(sayUnlessQuiet);
  const { done, failed, undrawn, objects } = await run(entries, flags, detector, interrupt);
  for (const warning of detector.stats.warnings) sayUnlessQuiet(warning);
  if (failed > 0) sayUnlessQuiet(`${failed} of ${entries.length} pictures failed`);
  if (undrawn > 0) sayUnlessQuiet(`${undrawn} of ${entries.length} pictures could not be drawn`);
  if (interrupt.finish.aborted) {
    sayUnlessQuiet(`interrupted after ${done} of ${entries.length} pictures, whose results are written`);
    return exitCodes.interrupted;
  }
  if (flags.weights === undefined && objects === 0 && failed < done) {
    sayUnlessQuiet(`nothing was found: the weights ${defaultWeights()} know ${defaultKnows}; \`cornernet weights list\` shows others`);
  }
  if (failed + undrawn === 0) return exitCodes.done;
  return failed === done ? exitCodes.failed : exitCodes.someFailed;
}
