// One process of several that train together: node --import tsx train-part.ts SETTING RESULT, a JSON file in and a file of v8's out.
import { readFileSync, writeFileSync } from 'node:fs';
import { serialize } from 'node:v8';

import { trainAs, type TrainSetting } from './train-as.js';

async function main([setting = '', result = '']: string[]): Promise<void> {
  const { steps, gradients, tensors } = await trainAs(JSON.parse(readFileSync(setting, 'utf8')) as TrainSetting);
  writeFileSync(result, serialize({ steps, gradients, tensors }));
}

void main(process.argv.slice(2));
