// Where outputs go: folders made on the way, and what can't be made.
import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeText } from '../../lib/output-file.js';

describe('output files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cornernet-output-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('makes the folders on the way, several at once too', async () => {
    const files = ['a/b/c/1.txt', 'a/b/c/2.txt', 'a/b/3.txt'].map((name) => join(folder, name));
    await Promise.all(files.map((file) => writeText(file, file)));
    for (const file of files) assert.equal(readFileSync(file, 'utf8'), file);
    assert.deepEqual(readdirSync(join(folder, 'a/b/c')).sort(), ['1.txt', '2.txt']);
  });

  it('a folder that takes none, or a file in its place, is an error and no hang', async () => {
    await assert.rejects(writeText('/proc/nothing/below/a.txt', ''), { code: 'ERR_WRITE' });
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(writeText(join(folder, 'file', 'a.txt'), ''), { code: 'ERR_WRITE' });
  });
});
