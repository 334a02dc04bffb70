// A tar file as an input: its pictures are listed, and read.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { sourceOf } from '../../lib/inputs/entry.js';
import type { BlobLike } from '../../lib/images/source.js';
import { listInputs } from '../../lib/inputs/expand.js';
import { holds } from './property.js';

function tarOf(names: readonly string[]): Promise<Buffer> {
  const tar = pack();
  for (const name of names) tar.entry({ name }, 'bytes');
  tar.finalize();
  return buffer(tar);
}

const folder = mkdtempSync(join(tmpdir(), 'cornernet-fuzz-'));
const file = join(folder, 'pictures.tar');
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

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
