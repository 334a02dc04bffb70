// Writes interfaces.ts of lib/options, lib/jobs, lib/train and lib/quantize, the public types of the options with their documentation, from the tables that
// validation and flags use.
//   npx tsx scripts/generate-options.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { format, resolveConfig } from 'prettier';

import { batchTable, queueTable, workerTable } from '../lib/jobs/options.js';
import { callTable, detectAllTable, loadTable, softNmsTable, tilesTable, type OptionTable } from '../lib/options/table.js';
import { quantizeTable } from '../lib/quantize/options.js';
import { architectureTable, trainTable } from '../lib/train/options.js';

function member([name, { type, about, standard, required }]: [string, OptionTable[string]]): string {
  const sentence = `${about.charAt(0).toUpperCase()}${about.slice(1)}.${required ? '' : ` Default: ${standard}.`}`;
  return `/** ${sentence} */\nreadonly ${name}${required ? `: ${type}` : `?: ${type} | undefined`};`;
}

function declare(name: string, parents: string, about: string, table: OptionTable): string {
  return `/** ${about} */\nexport interface ${name}${parents} {\n${Object.entries(table).map(member).join('\n')}\n}`;
}

const detector = `// What a detector can be asked for. Written by scripts/generate-options.ts from table.ts: change that.
import type { Abortable, Device, Numerics, Precision } from './values.js';

${declare('SoftNmsOptions', '', 'Soft non-maximum suppression, as mmcv computes it.', softNmsTable)}

${declare('TileOptions', '', 'A large picture in overlapping squares.', tilesTable)}

${declare('DetectOptions', '', 'Options that each call may set anew; unset ones keep what `Detector.load` was given, and `false` takes back its `classes`, `maxSide` or `tiles`.', callTable)}

${declare('LoadOptions', ' extends DetectOptions', 'Options of `Detector.load`.', loadTable)}

${declare('DetectAllOptions', ' extends DetectOptions, Abortable', 'Options of `Detector.detectAll`.', detectAllTable)}
`;

const jobs = `// What jobs, queues and workers can be asked for. Written by scripts/generate-options.ts from options.ts: change that.
import type { LoadOptions } from '../options/interfaces.js';
import type { BatchFormat, RunControls, Shard } from './types.js';

${declare('QueueOptions', '', 'A queue in Redis, through which a job has its pictures computed elsewhere.', queueTable)}

${declare('BatchJob', '', 'What `runBatch` works on.', batchTable)}

${declare('WorkerOptions', ' extends RunControls', 'Options of `runWorker`.', workerTable)}
`;

const training = `// What training can be asked for. Written by scripts/generate-options.ts from options.ts: change that.

${declare('ArchitectureOptions', '', "A network's dimensions.", architectureTable)}

${declare('TrainOptions', '', 'Options of `train`.', trainTable)}
`;

const calibration = `// What calibration can be asked for. Written by scripts/generate-options.ts from options.ts: change that.

${declare('QuantizeOptions', '', 'Options of `quantize`.', quantizeTable)}
`;

async function write(room: string, text: string): Promise<void> {
  const file = join(__dirname, '..', 'lib', room, 'interfaces.ts');
  const wanted = await format(text, { ...(await resolveConfig(file)), parser: 'typescript' });
  if (!process.argv.includes('--check')) {
    writeFileSync(file, wanted);
  } else if (readFileSync(file, 'utf8') !== wanted) {
    console.error(`lib/${room}/interfaces.ts is older than its table: run npx tsx scripts/generate-options.ts`);
    process.exitCode = 1;
  }
}

void Promise.all([write('options', detector), write('jobs', jobs), write('train', training), write('quantize', calibration)]);
