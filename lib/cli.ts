#!/usr/bin/env node
// The command line: reads the arguments, runs one command, sets the exit code.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Command, CommanderError } from 'commander';

import * as batch from './commands/batch.js';
import * as bench from './commands/bench.js';
import * as demo from './commands/demo.js';
import * as detect from './commands/detect.js';
import * as doctor from './commands/doctor.js';
import * as evaluate from './commands/eval.js';
import { exitCodes, reportFailure } from './commands/failure.js';
import * as setup from './commands/setup.js';
import * as status from './commands/status.js';
import * as weights from './commands/weights.js';
import * as worker from './commands/worker.js';
import { CornerNetError } from './errors.js';
import { packageRoot } from './native.js';

const about = `CornerNet object detection: runs mmdetection's checkpoints directly, on the CPU or on NVIDIA GPUs.`;

function program(): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const root = new Command('cornernet')
    .description(about)
    .version(version)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`ERR_OPTION: ${text.replace(/^error: /, '')}`) });
  for (const command of [detect, batch, worker, status, evaluate, bench, weights, setup, doctor, demo]) command.register(root);
  return root;
}

async function main(): Promise<void> {
  // `cornernet detect ... | head` closes our output early: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed));
  try {
    await program().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode;
      return;
    }
    reportFailure(error instanceof Error ? error : new CornerNetError('ERR_INTERNAL', String(error)));
    process.exitCode = exitCodes.failed;
  }
}

void main();
