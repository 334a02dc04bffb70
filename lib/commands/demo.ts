// cornernet demo: the digits in the project's own pictures.
import { existsSync } from 'node:fs';
import { relative } from 'node:path';

import type { Command } from 'commander';

import { CornerNetError } from '../errors.js';
import { packagePath } from '../package.js';
import { print } from './terminal.js';
import { detectInputs } from './detect.js';

export function register(command: Command): void {
  command.option('-o, --output <folder>', 'where the drawn pictures go', 'output').action(async ({ output }: { output: string }) => {
    const pictures = packagePath('pictures');
    if (!existsSync(pictures)) {
      throw new CornerNetError(
        'ERR_INPUT',
        `the demo's pictures are not here (${pictures}): try \`cornernet detect <your pictures> --format table\``,
      );
    }
    const folder = relative(process.cwd(), pictures) || '.';
    process.exitCode = await detectInputs([folder], { weights: 'digits', format: 'table', draw: output });
    print(`The drawn pictures are in ${output}/`);
  });
}
