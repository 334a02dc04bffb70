// From what a user names to pictures: order, folders, globs, lists, tar files, and folders too large to sort in memory.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import type { BlobLike } from '../../lib/images/source.js';
import { sourceOf } from '../../lib/inputs/entry.js';
import { expandInputs, listInputs, PassedOver } from '../../lib/inputs/expand.js';
import { changeOf, look, seenSchema } from '../../lib/inputs/seen.js';
import { sortNames } from '../../lib/inputs/walk.js';
import { root, skipBecause } from '../environment.js';
import { random, until } from '../support/batch.js';
import { refusalText } from '../support/refusal.js';
import { eachInAFolder } from '../support/scratch.js';

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

/** What a link says; empty when it has gone meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

describe('inputs', () => {
  let folder: string;
  eachInAFolder('inputs', (made) => {
    folder = made;
    mkdirSync(join(folder, 'b', 'deep'), { recursive: true });
    for (const name of ['a10.jpg', 'a2.JPG', 'b/1.png', 'b/deep/2.webp', '.hidden.jpg', 'notes.md']) writeFileSync(join(folder, name), '');
  });

  const below = (names: readonly string[]): string[] => names.map((name) => join(folder, name));

  it('a folder gives its pictures in natural order, hidden ones and other files left out', async () => {
    assert.deepEqual(await expandInputs([folder]), below(['a2.JPG', 'a10.jpg', 'b/1.png', 'b/deep/2.webp']));
  });

  it('globs match as in a shell with **', async () => {
    assert.deepEqual(await expandInputs([join(folder, '*.{jpg,JPG}')]), below(['a2.JPG', 'a10.jpg']));
    assert.deepEqual(await expandInputs([join(folder, '**/[12].*')]), below(['b/1.png', 'b/deep/2.webp']));
    assert.deepEqual(await expandInputs([join(folder, '*', '*.png')]), below(['b/1.png']));
    const strange = join(folder, 'b', 'c [1] (2)');
    mkdirSync(strange);
    writeFileSync(join(strange, 'd[1].jpg'), '');
    const escaped = join(folder, 'b', 'c \\[1\\] \\(2\\)');
    for (const glob of ['*.jpg', 'd\\[1\\].*']) assert.deepEqual(await expandInputs([join(escaped, glob)]), [join(strange, 'd[1].jpg')]);
    rmSync(strange, { recursive: true });
    const here = process.cwd();
    process.chdir(folder);
    try {
      assert.deepEqual(await expandInputs(['b/*.png', './a*.jpg', 'a10.jpg']), ['b/1.png', './a10.jpg', 'a10.jpg']);
    } finally {
      process.chdir(here);
    }
  });

  it('a link to a folder above is followed once', async () => {
    symlinkSync(folder, join(folder, 'b', 'up'));
    assert.deepEqual(await expandInputs([folder]), below(['a2.JPG', 'a10.jpg', 'b/1.png', 'b/deep/2.webp']));
  });

  it('enters a folder once however many links lead to it, under its own name where it has one', async () => {
    // Two links at each of 23 levels: eight million paths.
    const tower = join(folder, 'tower');
    for (let level = 0; level < 23; level++) {
      const at = join(tower, `level${level}`);
      mkdirSync(at, { recursive: true });
      for (const name of ['a', 'b']) symlinkSync(join('..', `level${level + 1}`), join(at, name));
    }
    mkdirSync(join(tower, 'level23'));
    writeFileSync(join(tower, 'level23', 'x.jpg'), '');
    assert.deepEqual(await expandInputs([tower]), [join(tower, 'level23', 'x.jpg')]);
    assert.deepEqual(await expandInputs([join(tower, '**', '*.jpg')]), [join(tower, 'level23', 'x.jpg')]);
    // Outside the folder that is named, the first link counts; who names a folder twice, means it twice.
    const first = join(tower, 'level0');
    const [found, ...others] = await expandInputs([first]);
    assert.deepEqual([found, others], [join(first, ...Array.from({ length: 23 }, () => 'a'), 'x.jpg'), []]);
    assert.equal((await expandInputs([first, first])).length, 2);
    // What is hidden has no name of its own.
    mkdirSync(join(folder, 'b', '.store'));
    writeFileSync(join(folder, 'b', '.store', 's.jpg'), '');
    for (const name of ['l1', 'l2']) symlinkSync('.store', join(folder, 'b', name));
    assert.deepEqual(await expandInputs([join(folder, 'b')]), below(['b/1.png', 'b/deep/2.webp', 'b/l1/s.jpg']));
    // A glob of so many levels has each name that it matches.
    assert.deepEqual(await expandInputs([join(folder, 'b', 'l?', '*.jpg')]), below(['b/l1/s.jpg', 'b/l2/s.jpg']));
  });

  it('a glob that ends as lists or tar files do opens what it matches, another takes it for pictures', async () => {
    writeFileSync(join(folder, '1.txt'), 'one.jpg');
    writeFileSync(join(folder, '2.txt'), 'two.jpg');
    const tars = [1, 2].map((i) => join(folder, `${i}.tar`));
    for (const tar of tars) execFileSync('tar', ['-cf', tar, '-C', folder, 'a10.jpg']);
    const named = async (glob: string): Promise<string[]> => (await all(listInputs([join(folder, glob)]))).map(({ path }) => path);
    assert.deepEqual(await named('*.txt'), ['one.jpg', 'two.jpg']);
    assert.deepEqual(await named('[12].tar'), tars.map((tar) => `${tar}/a10.jpg`)); // prettier-ignore
    assert.deepEqual(await named('1.*'), below(['1.tar', '1.txt']));
  });

  it('lists and standard input name files as they are; missing ones fail later, by themselves', async () => {
    const list = join(folder, 'list.txt');
    writeFileSync(list, 'one.jpg\r\n\n two.jpg \nlast.jpg');
    const named = (await all(listInputs([list, '-', 'gone.jpg'], { stdin: Readable.from('x.jpg\ny.jpg\n') }))).map(({ path }) => path);
    assert.deepEqual(named, ['one.jpg', 'two.jpg', 'last.jpg', 'x.jpg', 'y.jpg', 'gone.jpg']);
  });

  it('paths between NUL bytes may hold line ends and spaces, and are the same in pieces of any length', async () => {
    const names = [' a b.jpg ', 'two\nlines.jpg', 'ü.jpg', ...Array.from({ length: 900 }, (_, i) => `many/${i}.jpg`)];
    const bytes = Buffer.from(names.map((name) => `${name}\0`).join(''));
    for (const length of [1, 7, 5000, 1e6]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => bytes.subarray(i * length, (i + 1) * length));
      assert.deepEqual((await all(listInputs(['-'], { stdin: Readable.from(pieces) }))).map(({ path }) => path), names); // prettier-ignore
    }
    const marked = await all(listInputs(['-'], { stdin: Readable.from([Buffer.from('\ufeffx.jpg\r\ny.jpg')]) }));
    assert.deepEqual(marked, [{ path: 'x.jpg' }, { path: 'y.jpg' }]);
    for (const separator of ['\n', '\0']) {
      const latin = Readable.from([Buffer.from(`caf\xe9${separator}\xfc\xc3\xa9`, 'latin1')]);
      assert.deepEqual(
        (await all(listInputs(['-'], { stdin: latin }))).map(({ path }) => path),
        ['caf\udce9', '\udcfcé'],
      );
    }
  });

  it("a picture's bytes on standard input are one, where it may be; anything else is refused", async () => {
    for (const file of ['pictures/scene0.jpg', 'test/fixtures/photos/chelsea.png']) {
      const bytes = readFileSync(join(root, file));
      const pieces = [bytes.subarray(0, 3), bytes.subarray(3, 9000), bytes.subarray(9000)];
      const stdin = (): Readable => Readable.from(pieces);
      assert.deepEqual(await all(listInputs(['-'], { stdin: stdin(), takePicture: true })), [{ path: '-', bytes }]);
      assert.match(await refusalText(all(listInputs(['-'], { stdin: stdin() }))), /^ERR_INPUT: standard input is a picture/);
      await assert.rejects(
        all(listInputs(['-'], { stdin: Readable.from([bytes.subarray(400)]), takePicture: true })),
        /is no list of paths/,
      );
    }
    await assert.rejects(all(listInputs(['-'], { stdin: Readable.from(['x'.repeat(70_000), '\n']) })), /is no list of paths/);
    for (const list of [Buffer.from('\ufeffa.jpg\r\n', 'utf16le'), Buffer.from('\ufeffa.jpg\r\n', 'utf16le').swap16()])
      await assert.rejects(all(listInputs(['-'], { stdin: Readable.from([list]) })), /standard input, in UTF-16, is no list of paths/);
    assert.match(await refusalText(all(listInputs(['-'], { stdin: Readable.from([]) }))), /^ERR_INPUT: no pictures were named/);
    const twice = all(listInputs(['-', 'pictures', '-'], { stdin: Readable.from(['pictures/scene0.jpg']) }));
    assert.match(await refusalText(twice), /^ERR_INPUT: standard input \(-\) is named twice/);
  });

  it('closes what it has read in part, or refused', async () => {
    const opened = (): string[] =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        const path = linkOf(`/proc/self/fd/${fd}`);
        return /\/(long|no)\.txt$|\/run-/.test(path) ? [path] : [];
      });
    const first = async (some: AsyncIterable<unknown>): Promise<void> => {
      for await (const one of some) {
        assert.ok(one);
        return;
      }
    };
    writeFileSync(join(folder, 'long.txt'), 'picture.jpg\n'.repeat(50_000));
    writeFileSync(join(folder, 'no.txt'), '\x01'.repeat(500_000));
    await first(listInputs([join(folder, 'long.txt')]));
    await until(() => opened().length === 0, 'the list is closed');
    assert.match(await refusalText(all(listInputs([join(folder, 'no.txt')]))), /is no list of paths/);
    await until(() => opened().length === 0, 'what is no list is closed');
    const names = Array.from({ length: 20_000 }, (_, i) => ({ name: `${i}`.padStart(40, 'a'), folder: false }));
    await first(sortNames(Readable.from(names), 10_000));
    await until(() => opened().length === 0, 'the runs are closed');
    const stdin = Readable.from(['\x01'.repeat(5_000), 'more']);
    await assert.rejects(all(listInputs(['-'], { stdin })), /is no list of paths/);
    assert.ok(stdin.destroyed);
  });

  it('counts the files of folders that are no pictures', async () => {
    const passedOver = new PassedOver();
    assert.equal(passedOver.sentence, '');
    await all(listInputs([folder], { onPassedOver: passedOver.count }));
    assert.equal(passedOver.sentence, '1 file that is no picture was passed over');
    writeFileSync(join(folder, 'b', 'more.txt'), '');
    await all(listInputs([join(folder, 'b')], { onPassedOver: passedOver.count }));
    assert.equal(passedOver.sentence, '2 files that are no pictures were passed over');
  });

  it('says what is empty or no tar file', async () => {
    mkdirSync(join(folder, 'empty'));
    writeFileSync(join(folder, 'no.tar'), 'x'.repeat(2000));
    writeFileSync(join(folder, 'no.list'), '\n');
    assert.match(await refusalText(expandInputs([join(folder, 'empty')])), /^ERR_INPUT: the folder .*empty holds no pictures/);
    assert.match(await refusalText(expandInputs([join(folder, '*.gif')])), /^ERR_INPUT: no file matches/);
    assert.match(await refusalText(all(listInputs([join(folder, 'no.list')]))), /^ERR_INPUT: the list .* is empty/);
    assert.match(await refusalText(all(listInputs([join(folder, 'no.tar')]))), /^ERR_INPUT: .*no\.tar can't be read as a tar file/);
    assert.match(await refusalText(expandInputs([])), /^ERR_INPUT: no pictures were named/);
  });

  it('a member of a tar file is read by its place, and fails when that ends before', async () => {
    const tar = join(folder, 'some.tar');
    writeFileSync(tar, 'abcdefgh');
    const entry = { path: `${tar}/x.jpg` };
    const read = (offset: number): Promise<ArrayBuffer> =>
      (sourceOf({ ...entry, member: { tar, offset, size: 3 } }) as BlobLike).arrayBuffer();
    assert.equal(Buffer.from(await read(2)).toString(), 'cde');
    assert.match(await refusalText(read(6)), /^ERR_INPUT: .*x\.jpg can't be read from .*it ends before 9 bytes/);
  });

  it('a file of a time that no calendar has is known by it, and what changes it is said', async function () {
    const here = existsSync('/dev/shm') ? mkdtempSync('/dev/shm/cornernet-inputs-') : folder; // in memory such a time can be kept
    try {
      const path = join(here, 'far.jpg');
      writeFileSync(path, '');
      utimesSync(path, 1e13, 1e13);
      if (statSync(path).mtimeMs < Number.MAX_SAFE_INTEGER) skipBecause(this, 'no file system here keeps such a time');
      const seen = seenSchema.parse(await look({ path }, false));
      assert.equal(await changeOf({ path }, seen, true), undefined);
      writeFileSync(path, 'longer');
      assert.match((await changeOf({ path }, seen, true)) ?? '', /^it was 0 bytes of .* and is 6 bytes of /);
    } finally {
      if (here !== folder) rmSync(here, { recursive: true });
    }
  });

  it('names are sorted the same in runs on disk as in memory', async () => {
    const next = random(5);
    const names = Array.from({ length: 1000 }, (_, i) => ({ name: `p${Math.floor(next() * 500)}-${i % 3}.jpg`, folder: i % 9 === 0 }));
    const once = await all(sortNames(Readable.from(names)));
    assert.deepEqual(await all(sortNames(Readable.from(names), 64)), once);
    const strange = ['a\u2028b', 'a\u2029b', 'a\udce9b', 'a\nb'].map((name) => ({ name, folder: false }));
    assert.deepEqual(await all(sortNames(Readable.from(strange), 2)), await all(sortNames(Readable.from(strange))));
    const { TMPDIR } = process.env;
    process.env['TMPDIR'] = join(folder, 'missing');
    try {
      assert.match(await refusalText(all(sortNames(Readable.from(names), 64))), /^ERR_WRITE: .*missing can't be written: .*ENOENT/);
    } finally {
      if (TMPDIR === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = TMPDIR;
    }
    assert.deepEqual(once.map(({ name }) => name), names.map(({ name }) => name).sort(new Intl.Collator('en', { numeric: true }).compare)); // prettier-ignore
  });
});
