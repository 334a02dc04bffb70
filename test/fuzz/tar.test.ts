// A tar file as an input: its pictures are listed, and read.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { sourceOf } from '../../lib/inputs/entry.js';
import type { BlobLike } from '../../lib/images/source.js';
import { listInputs } from '../../lib/inputs/expand.js';
import { allInAFolder } from '../support/scratch.js';
import { holds } from './property.js';

function tarOf(names: readonly string[]): Promise<Buffer> {
  const tar = pack();
  for (const name of names) tar.entry({ name }, 'bytes');
  tar.finalize();
  return buffer(tar);
}

let file: string;
allInAFolder('fuzz', (folder) => (file = join(folder, 'pictures.tar')));

const seeds: Buffer[] = [];
before(async () => {
  const archives = [['a.jpg', 'b/c.png', 'note.txt'], ['../x.jpg', 'a.jpg', 'a.jpg'], [`${'long/'.repeat(40)}ü.jpg`]];
  seeds.push(...(await Promise.all(archives.map(tarOf))));
});

holds(
  'tar',
  () => seeds,
  async (bytes) => {
    writeFileSync(file, bytes);
    for await (const entry of listInputs([file])) await (sourceOf(entry) as BlobLike).arrayBuffer();
  },
);
