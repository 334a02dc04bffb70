#!/usr/bin/env node
// The command line: reads the arguments, loads and runs one command, sets the exit code.
import { Command, CommanderError } from 'commander';

import { exitCodes, reportFailure } from './commands/failure.js';
import { endThoughBlocked, Interrupted } from './commands/interrupt.js';
import { CornerNetError } from './errors.js';
import { packageVersion } from './package.js';
import { outputFailed, tell } from './commands/terminal.js';
import { plain } from './terminal.js';

const about = `CornerNet object detection: runs mmdetection's checkpoints directly, on the CPU or on NVIDIA GPUs.`;

interface CommandModule {
  register(command: Command): void;
}

const commands: Record<string, { readonly about: string; readonly load: () => Promise<CommandModule> }> = {
  detect: { about: 'find objects in pictures', load: () => import('./commands/detect.js') },
  batch: { about: 'find objects in any number of pictures; goes on where it was cut off', load: () => import('./commands/batch.js') },
  worker: {
    about: 'take work from a queue as fast as the devices allow, until Ctrl-C or SIGTERM',
    load: () => import('./commands/worker.js'),
  },
  status: { about: 'show a queue, its workers, their rate and errors', load: () => import('./commands/status.js') },
  eval: { about: "COCO's average precision, equal to pycocotools", load: () => import('./commands/eval.js') },
  train: { about: 'teach it your own objects; goes on where it was cut off', load: () => import('./commands/train.js') },
  quantize: { about: 'calibrate weights for int8, the fastest arithmetic on the CPU', load: () => import('./commands/quantize.js') },
  bench: {
    about: 'measure speed: of the network, its operators and the whole way from files to JSON',
    load: () => import('./commands/bench.js'),
  },
  weights: { about: 'list, fetch and verify checkpoints', load: () => import('./commands/weights.js') },
  setup: {
    about: 'find or fetch LibTorch (CPU, or CUDA where there is an NVIDIA driver) and build the addon',
    load: () => import('./commands/setup.js'),
  },
  doctor: { about: 'say what was found and what to do about what is missing', load: () => import('./commands/doctor.js') },
  demo: { about: "find the handwritten digits in the project's pictures and draw them", load: () => import('./commands/demo.js') },
};

/** Only the command that is called is loaded; the others are names in the help. */
async function program(args: readonly string[]): Promise<Command> {
  const root = new Command('cornernet')
    .description(about)
    .version(packageVersion())
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`ERR_OPTION: ${plain(text.trimEnd().replace(/^error: /, ''))}\n`) });
  const called = args.find((arg) => Object.hasOwn(commands, arg));
  for (const [name, { about, load }] of Object.entries(commands)) {
    const command = root.command(name).description(about);
    if (name === called) (await load()).register(command);
  }
  return root;
}

async function main(): Promise<void> {
  process.stdout.on('error', outputFailed);
  process.stderr.on('error', () => undefined); // there is nobody left to tell
  try {
    await (await program(process.argv.slice(2))).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode;
      return;
    }
    if (error instanceof Interrupted) {
      tell('interrupted: nothing was written');
      process.exitCode = exitCodes.interrupted;
      return;
    }
    reportFailure(error instanceof Error ? error : new CornerNetError('ERR_INTERNAL', String(error)));
    process.exitCode = exitCodes.failed;
  }
}

void main().finally(endThoughBlocked);
