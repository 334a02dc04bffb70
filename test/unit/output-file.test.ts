// Where outputs go: folders made on the way and what can't be made, devices, pipes, links, and what a file keeps that is replaced.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  createReadStream,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { CornerNetError } from '../../lib/index.js';
import { checkOutputFiles, clearAside, openOutput, writeAside, writeText } from '../../lib/output-file.js';
import { Unavailable, orSkip, root } from '../environment.js';
import { eachInAFolder } from '../support/scratch.js';

describe('output files', () => {
  let folder: string;
  eachInAFolder('output', (made) => (folder = made));

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

  it('what is no file is written through and stays what it is, for root too', async function () {
    const fifo = join(folder, 'fifo');
    assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
    symlinkSync('fifo', join(folder, 'link'));
    const read = (async () => {
      let text = '';
      for await (const piece of createReadStream(fifo, 'utf8')) text += String(piece);
      return text;
    })();
    await writeText(join(folder, 'link'), 'through');
    assert.equal(await read, 'through');
    assert.ok(lstatSync(fifo).isFIFO() && lstatSync(join(folder, 'link')).isSymbolicLink());
    await writeText('/dev/null', 'nothing');
    assert.ok(lstatSync('/dev/null').isCharacterDevice());
    await assert.rejects(writeText('/dev/full', 'text'), { code: 'ERR_WRITE' });
    assert.ok(lstatSync('/dev/full').isCharacterDevice());
    assert.deepEqual(readdirSync(folder).sort(), ['fifo', 'link']);
    // A device beside which there is room for a file in its place.
    const node = join(folder, 'null');
    const made = spawnSync('mknod', [node, 'c', '1', '3']);
    await orSkip(this, () => (made.status === 0 ? Promise.resolve() : Promise.reject(new Unavailable('devices can not be made here'))));
    await writeText(node, 'nothing').catch((error: unknown) => assert.match(String(error), /EACCES|EPERM/)); // mounted without devices
    assert.ok(lstatSync(node).isCharacterDevice());
  });

  it('a standard output that is a file already is added to where it is', () => {
    const log = join(folder, 'log');
    for (const name of ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1', '/dev/fd/7', '/dev/stderr']) {
      writeFileSync(log, 'before\n');
      const { ino } = statSync(log);
      const script = `require('${root}/lib/output-file.ts').writeText('${name}', 'text\\n')`;
      const { stderr, status } = spawnSync('bash', ['-c', `{ '${process.execPath}' --import=tsx -e "${script}"; echo after; } >> ${log} 7>&1 2>&1`], { cwd: root, encoding: 'utf8' }); // prettier-ignore
      assert.deepEqual([status, readFileSync(log, 'utf8')], [0, 'before\ntext\nafter\n'], `${name} ${stderr}`);
      assert.equal(statSync(log).ino, ino);
    }
  });

  it('two that are one file are refused, under whatever names; what is no file may be named twice', async () => {
    const [file, link] = [join(folder, 'a.json'), join(folder, 'b.json')];
    symlinkSync('a.json', link);
    for (const second of [file, join(folder, '.', 'a.json'), link])
      await assert.rejects(checkOutputFiles([file, undefined, second]), { code: 'ERR_OPTION', message: /^two outputs are the file / });
    await checkOutputFiles([file, '/dev/null', '/dev/null', join(folder, 'c.json')]);
    assert.deepEqual(readdirSync(folder), ['b.json']);
  });

  it('a link keeps leading to the file, be that there yet or not', async () => {
    mkdirSync(join(folder, 'deep'));
    symlinkSync('deep/file', join(folder, 'one'));
    symlinkSync('one', join(folder, 'two'));
    for (const text of ['first', 'second']) {
      await writeText(join(folder, 'two'), text);
      assert.equal(readFileSync(join(folder, 'deep', 'file'), 'utf8'), text);
    }
    assert.ok(['one', 'two'].every((name) => lstatSync(join(folder, name)).isSymbolicLink()));
    assert.deepEqual(readdirSync(join(folder, 'deep')), ['file']);
  });

  it('a file keeps its mode and owner, and is no more open while it is written', async () => {
    const file = join(folder, 'private');
    const before = process.umask(0);
    try {
      for (const mode of [0o600, 0o640, 0o755]) {
        writeFileSync(file, 'former');
        if (process.getuid?.() === 0) chownSync(file, 12345, 54321);
        chmodSync(file, mode);
        const { uid, gid } = statSync(file);
        const output = openOutput(file);
        await output.write('secret');
        const [aside = ''] = readdirSync(folder).filter((name) => name.endsWith('.part'));
        assert.equal(statSync(join(folder, aside)).mode & 0o077, 0);
        assert.equal(readFileSync(file, 'utf8'), 'former');
        await output.commit();
        const now = statSync(file);
        assert.deepEqual([now.mode & 0o777, now.uid, now.gid, readFileSync(file, 'utf8')], [mode, uid, gid, 'secret']);
        rmSync(file);
      }
    } finally {
      process.umask(before);
    }
  });

  it('several that write one file at once each write the whole', async () => {
    const file = join(folder, 'file');
    const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(200_000));
    await Promise.all(texts.map((text) => writeText(file, text)));
    assert.ok(texts.includes(readFileSync(file, 'utf8')));
    assert.deepEqual(readdirSync(folder), ['file']);
  });

  it('what others write appears whole or not at all, and keeps what it replaces', async () => {
    const [file, link] = [join(folder, 'file'), join(folder, 'link')];
    writeFileSync(file, 'former', { mode: 0o600 });
    symlinkSync(file, link);
    const asides: string[] = [];
    await writeAside(link, (aside) => {
      asides.push(aside);
      assert.equal(statSync(aside).mode & 0o777, 0o600);
      assert.equal(readFileSync(file, 'utf8'), 'former');
      writeFileSync(aside, 'new');
      return Promise.resolve();
    });
    assert.deepEqual([readFileSync(file, 'utf8'), statSync(file).mode & 0o777, lstatSync(link).isSymbolicLink()], ['new', 0o600, true]);
    await assert.rejects(
      writeAside(file, (aside) => {
        asides.push(aside);
        throw new CornerNetError('ERR_WRITE', 'No space left on device');
      }),
      { code: 'ERR_WRITE', message: `${file} can't be written: No space left on device` },
    );
    await assert.rejects(
      writeAside(file, () => Promise.reject(new CornerNetError('ERR_LOCKED', 'lost'))),
      { code: 'ERR_LOCKED' },
    );
    const reason = new Error('enough'); // of an abort
    await assert.rejects(
      writeAside(file, () => Promise.reject(reason)),
      (error) => error === reason,
    );
    // Taken away by who took the folder: what was written under the name stays no result of this one.
    await assert.rejects(
      writeAside(file, () => clearAside(folder)),
      { code: 'ERR_WRITE' },
    );
    await assert.rejects(
      writeAside('/dev/null', () => Promise.resolve()),
      { code: 'ERR_WRITE', message: /no regular file/ },
    );
    assert.notEqual(asides[0], asides[1]);
    assert.deepEqual([readFileSync(file, 'utf8'), readdirSync(folder).sort()], ['new', ['file', 'link']]);
  });
});
