// cornernet detect: objects in pictures, as JSON lines, COCO results, CSV or a table.
import { Option, type Command } from 'commander';
import type { Sharp } from 'sharp';

import { Detector } from '../detector/detector.js';
import type { DetectionResult } from '../detector/result.js';
import { CornerNetError } from '../errors.js';
import { expandInputs } from '../inputs/expand.js';
import { writeText } from '../output-file.js';
import { renderBoxes } from '../render/boxes.js';
import { DrawingFolder } from '../render/folder.js';
import { renderHeatmaps } from '../render/heatmaps.js';
import { openResults, type Format } from '../writers/open.js';
import { addDetectorOptions, loadOptionsOf, type DetectorFlags } from '../options/flags.js';
import { exitCodes } from './failure.js';
import { onInterrupt } from './interrupt.js';
import { showProgress } from './progress.js';

export interface DetectFlags extends DetectorFlags {
  readonly format: Format;
  readonly output?: string;
  readonly annotations?: string;
  readonly draw?: string;
  readonly heatmaps?: string;
  readonly quiet?: boolean;
}

const examples = `
Examples:
  $ cornernet detect photo.jpg --format table
  $ cornernet detect pictures/ --weights 10x5 --output results.jsonl --draw drawn/
  $ cornernet detect 'shots/**/*.png' --weights my.pth --no-flip --score-threshold 0
  $ find . -name '*.jpg' | cornernet detect - --format coco --output results.json

Exit codes: 0 all done, 1 wrong usage or nothing done, 2 some pictures failed, 130 after Ctrl-C.`;

export function register(command: Command): void {
  command
    .argument('<inputs...>', 'pictures, folders, globs, or - for a list of paths on standard input')
    .addOption(new Option('-f, --format <format>', 'what to write').choices(['jsonl', 'coco', 'csv', 'table']).default('jsonl'))
    .option('-o, --output <file>', 'write there instead of to standard output')
    .option('--annotations <file>', 'COCO annotations whose picture and category ids --format coco uses')
    .option('--draw <folder>', 'draw labelled boxes over each picture')
    .option('--heatmaps <folder>', 'draw the corner heatmaps and the paired corners over each picture')
    .option('-q, --quiet', 'show no progress')
    .addHelpText('after', examples)
    .action(async (inputs: string[], flags: DetectFlags) => {
      process.exitCode = await detectFiles(await expandInputs(inputs), flags);
    });
  addDetectorOptions(command);
}

/** What can be refused before any work. */
function checkFlags({ format, output, annotations }: DetectFlags): void {
  if (annotations !== undefined && format !== 'coco') {
    throw new CornerNetError('ERR_OPTION', `--annotations gives the ids of --format coco: --format ${format} takes none`);
  }
  if (format === 'coco' && output === undefined && annotations === undefined) {
    throw new CornerNetError(
      'ERR_OPTION',
      '--format coco needs --output, where the list of picture ids goes beside, or --annotations that has them',
    );
  }
}

async function writeDrawing(drawing: Sharp, file: string): Promise<void> {
  await writeText(file, await drawing.toBuffer());
}

/** Draws what was asked for. */
function drawerFor(flags: DetectFlags, detector: Detector): (result: DetectionResult) => Promise<void> {
  const boxes = flags.draw === undefined ? undefined : new DrawingFolder(flags.draw);
  const heatmaps = flags.heatmaps === undefined ? undefined : new DrawingFolder(flags.heatmaps);
  return async ({ image, detections }) => {
    if (image === null) return;
    const maxPixels = flags.maxPixels ?? Number.MAX_SAFE_INTEGER; // the detector has checked it already
    if (boxes) await writeDrawing(await renderBoxes(image, detections, maxPixels), boxes.fileFor(image));
    if (heatmaps)
      await writeDrawing(await renderHeatmaps(image, await detector.heads(image), detections, maxPixels), heatmaps.fileFor(image));
  };
}

/** Detects in files and writes the results in their order; returns the exit code. */
export async function detectFiles(paths: readonly string[], flags: DetectFlags): Promise<number> {
  checkFlags(flags);
  await using detector = await Detector.load(flags.weights, loadOptionsOf(flags));
  const say = (text: string): void => (flags.quiet === true ? undefined : console.error(text));
  if (flags.device === undefined) say(`cornernet: ${detector.device}, ${detector.precision}`);
  const writer = await openResults(flags.format, flags.output, { classes: detector.classes, annotations: flags.annotations });
  const draw = drawerFor(flags, detector);
  const interrupt = onInterrupt(say);
  const progress = showProgress(paths.length, flags.quiet === true);
  const untilInterrupted = function* (): Generator<string> {
    for (const path of paths) {
      if (interrupt.finish.aborted) return;
      yield path;
    }
  };
  let done = 0;
  let failed = 0;
  try {
    for await (const result of detector.detectAll(untilInterrupted(), { signal: interrupt.signal })) {
      await writer.write(result);
      if ('error' in result) failed++;
      else await draw(result);
      done++;
      progress.advance('error' in result);
    }
  } catch (error) {
    if (!interrupt.signal.aborted) {
      await writer.discard();
      throw error;
    }
  } finally {
    progress.stop();
    interrupt.release();
  }
  await writer.end();
  if (interrupt.finish.aborted) {
    say(`interrupted after ${done} of ${paths.length} pictures, whose results are written`);
    return exitCodes.interrupted;
  }
  if (failed > 0) say(`${failed} of ${paths.length} pictures failed`);
  if (failed === 0) return exitCodes.done;
  return failed === done ? exitCodes.failed : exitCodes.someFailed;
}
