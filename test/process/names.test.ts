// Names from anywhere: of files, classes and categories that hold a terminal's commands, formulas, JavaScript's own words or bytes that are no UTF-8.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CocoAnnotations } from '../../lib/coco.js';
import { runBatch } from '../../lib/jobs.js';
import { fixtures, root } from '../environment.js';
import { resultsOf } from '../support/batch.js';
import { cornernet } from '../support/child.js';
import { eachInAFolder } from '../support/scratch.js';

const set = join(fixtures, 'digits', 'val');
const photo = join(set, '0003.jpg');
/** Sets the terminal's title, goes to the beginning of the line, and turns the rest of it red and round. */
const hostile = '\u001b]0;owned\u0007\r\u001b[31mgone\u202e\u009b2J';
const isInert = (text: string): void => assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/); // eslint-disable-line no-control-regex

/** What a shell's command writes to a terminal, without the terminal's own carriage returns. */
function onTerminal(command: string): string {
  return execFileSync('script', ['--quiet', '--return', '--command', `${command} 2>/dev/null`, '/dev/null'])
    .toString()
    .replaceAll('\r\n', '\n');
}

describe('names from anywhere', function () {
  this.timeout(120_000);
  let folder: string;
  eachInAFolder('names', (made) => (folder = made));

  const annotated = (change: (all: CocoAnnotations) => object): string => {
    const all = JSON.parse(readFileSync(join(set, 'annotations.json'), 'utf8')) as CocoAnnotations;
    const file = join(folder, 'annotations.json');
    writeFileSync(file, JSON.stringify(change(all)));
    return file;
  };

  it('do nothing to a terminal, in tables, sentences, warnings and refusals of the command line', async () => {
    const picture = join(folder, `${hostile}.jpg`);
    copyFileSync(photo, picture);
    writeFileSync(join(folder, `no${hostile}.png`), 'no picture');
    const detected = await cornernet(['detect', folder, '--format', 'table', '--output', join(folder, 'table.txt')]);
    assert.equal(detected.code, 2);
    for (const text of [detected.stderr, readFileSync(join(folder, 'table.txt'), 'utf8')]) isInert(text);
    assert.match(readFileSync(join(folder, 'table.txt'), 'utf8'), /\\x1b\]0;owned\\x07\\x0d\\x1b\[31mgone\\u202e\\x9b2J\.jpg/);
    const evaluated = await cornernet([
      ...['eval', '--detections', join(folder, 'none.json')],
      ...['--annotations', annotated((all) => ({ ...all, categories: all.categories.map(({ id }) => ({ id, name: hostile })) }))],
    ]);
    assert.match(evaluated.stderr, /^ERR_INPUT/);
    writeFileSync(join(folder, 'none.json'), '[]');
    const shown = await cornernet(['eval', '--detections', join(folder, 'none.json'), '--annotations', join(folder, 'annotations.json')]);
    assert.match(shown.stdout, /owned/);
    for (const args of [['detect', join(folder, hostile)], [`--${hostile}`], ['weights', 'verify', picture]]) {
      const { stdout, stderr } = await cornernet(args);
      assert.match(stdout + stderr, /owned/);
      isInert(stdout + stderr);
    }
    isInert(shown.stdout);
  });

  it('do nothing to a terminal, whatever is written there', function () {
    const picture = join(folder, `${hostile}.jpg`);
    copyFileSync(photo, picture);
    const quoted = `'${picture.replaceAll("'", "'\\''")}'`;
    for (const output of ['', '--output /dev/stdout'])
      for (const format of ['jsonl', 'csv', 'table']) {
        const command = `'${process.execPath}' '${join(root, 'dist', 'cli.js')}' detect ${quoted} --format ${format} ${output}`;
        const shown = onTerminal(command);
        isInert(shown);
        assert.match(shown, /owned/);
      }
    // What is no terminal gets the names as they are.
    const piped = execFileSync(process.execPath, [join(root, 'dist', 'cli.js'), 'detect', picture, '--format', 'csv'], {
      stdio: 'pipe',
    }).toString();
    assert.ok(piped.includes(hostile));
  });

  it('a further line of one is indented, so that it passes for nothing that we say', async () => {
    const { stderr } = await cornernet(['weights', 'verify', join(folder, 'x\nERR_CHECKPOINT: forged')]);
    assert.match(stderr, /x\n {2}ERR_CHECKPOINT: forged/);
  });

  it("classes named like an object's own members are counted and found as any other", async () => {
    const classNames = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', ...['5', '6', '7', '8', '9']];
    const inputs = JSON.parse(readFileSync(join(set, 'annotations.json'), 'utf8')) as CocoAnnotations;
    const pictures = inputs.images.slice(0, 12).map(({ file_name }) => join(set, file_name));
    const output = join(folder, 'job');
    const summary = await runBatch({ inputs: pictures, output, options: { device: 'cpu', classNames }, format: 'csv' });
    const counted = new Map<string, number>();
    for (const { label } of resultsOf(output).flatMap(({ detections }) => detections as { label: string }[]))
      counted.set(label, (counted.get(label) ?? 0) + 1);
    assert.ok(classNames.slice(0, 5).filter((name) => counted.has(name)).length >= 3 && counted.has('__proto__'), [...counted].join(' '));
    assert.deepEqual(new Map(Object.entries(summary.classes ?? {})), counted);
    const written = JSON.parse(readFileSync(join(output, 'summary.json'), 'utf8')) as typeof summary;
    assert.deepEqual(new Map(Object.entries(written.classes ?? {})), counted);
    const report = readFileSync(join(output, 'report.html'), 'utf8');
    for (const [name, count] of counted) assert.ok(report.includes(`<title>${name}</title>`), `${name} ${count}`);
    const kept = await runBatch({
      inputs: pictures,
      output: join(folder, 'kept'),
      options: { device: 'cpu', classNames, classes: ['__proto__'] },
    });
    assert.deepEqual(Object.entries(kept.classes ?? {}), [['__proto__', counted.get('__proto__')]]);
    const again = await runBatch({ output, format: 'csv', retryErrors: true });
    assert.deepEqual(again, written);
    const annotations = annotated((all) => ({
      ...all,
      images: all.images.slice(0, 12),
      annotations: all.annotations.filter(({ image_id }) => all.images.slice(0, 12).some(({ id }) => id === image_id)),
      categories: all.categories.map(({ id, name }, i) => ({ id, name: classNames[Number(name)] ?? classNames[i] })),
    }));
    const coco = await runBatch({
      inputs: pictures,
      output: join(folder, 'coco'),
      options: { device: 'cpu', classNames },
      format: 'coco',
      annotations,
    });
    const evaluated = await cornernet([
      ...[
        'eval',
        '--detections',
        join(folder, 'coco', 'results.coco.json'),
        '--annotations',
        annotations,
        '--html',
        join(folder, 'page.html'),
      ],
    ]);
    assert.equal(coco.failed + (evaluated.code ?? 1), 0, evaluated.stderr);
    assert.match(evaluated.stdout, /│ __proto__ +│ [01]\.\d{4}/);
    assert.ok(readFileSync(join(folder, 'page.html'), 'utf8').includes('>constructor<'));
  });

  it('files whose names are no UTF-8 are found, computed, drawn and recorded, and the record leads back to them', async () => {
    const pictures = join(folder, 'pictures');
    // Python, because bytes that are no text can not be arguments of Node's.
    const place = `import os,sys,shutil\nd=os.fsencode(sys.argv[2])\nos.makedirs(d+b'/\\xfcber')\nfor n in (b'/caf\\xe9.jpg',b'/caf\\xe8.jpg',b'/\\xfcber/\\xc3\\xa4.jpg'): shutil.copy(os.fsencode(sys.argv[1]),d+n)`;
    execFileSync('python3', ['-c', place, photo, pictures]);
    const names = ['caf\udce8.jpg', 'caf\udce9.jpg', '\udcfcber/ä.jpg'];
    const drawn = join(folder, 'drawn');
    const { code, stdout, stderr } = await cornernet(['detect', pictures, '--draw', drawn]);
    assert.equal(code, 0, stderr);
    const lines = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { image: string; detections: unknown[] }); // prettier-ignore
    assert.deepEqual(lines.map(({ image }) => image).sort(), names.map((name) => join(pictures, name)).sort());
    assert.ok(lines.every(({ detections }) => detections.length > 0));
    assert.deepEqual(execFileSync('ls', [drawn], { encoding: 'utf8' }).trim().split('\n').length, 3);
    const job = join(folder, 'job');
    const summary = await runBatch({ inputs: [pictures], output: job, options: { device: 'cpu' } });
    assert.deepEqual([summary.done, summary.failed], [3, 0]);
    assert.deepEqual(resultsOf(job).map(({ image }) => image).sort(), lines.map(({ image }) => image).sort()); // prettier-ignore
    // As another program reads the record: Python's own decoding of such a name.
    const open = `import json,os,sys\nfor l in sys.stdin: os.stat(os.fsencode(json.loads(l)['image']))`;
    execFileSync('python3', ['-c', open], { input: stdout });
    const list = join(folder, 'list.txt');
    execFileSync('python3', [
      '-c',
      `import os,sys\nopen(sys.argv[2],'wb').write(os.fsencode(sys.argv[1])+b'/caf\\xe9.jpg\\n')`,
      pictures,
      list,
    ]);
    const listed = await runBatch({ inputs: [list], output: join(folder, 'listed'), options: { device: 'cpu' } });
    assert.deepEqual([listed.done, listed.failed], [1, 0]);
  });

  it('eval reads nothing outside its folder, be it by .., by a whole path or by a link, and shows nothing of it', async () => {
    const images = join(folder, 'images');
    mkdirSync(images);
    copyFileSync(photo, join(folder, 'secret.jpg'));
    copyFileSync(photo, join(images, 'own.jpg'));
    symlinkSync('../secret.jpg', join(images, 'link.jpg'));
    symlinkSync('own.jpg', join(images, 'inside.jpg'));
    const of = (file_name: string): string =>
      annotated((all) => {
        const [image] = all.images.filter((one) => one.file_name === '0003.jpg');
        return { ...all, images: [{ ...image, file_name }], annotations: all.annotations.filter(({ image_id }) => image_id === image?.id) };
      });
    const [page, none] = [join(folder, 'page.html'), join(folder, 'none.json')];
    writeFileSync(none, '[]');
    for (const name of ['../secret.jpg', 'a/../../secret.jpg', join(folder, 'secret.jpg'), 'link.jpg']) {
      const { code, stderr } = await cornernet(['eval', '--images', images, '--annotations', of(name), '--html', page]);
      assert.equal(code, 1);
      assert.match(stderr, /^ERR_INPUT: the annotations name .*(secret|link)\.jpg, which is outside .*images(, where a link leads)?$/m);
      assert.equal(stderr.includes('where a link leads'), name === 'link.jpg');
      const drawn = await cornernet(['eval', '--images', images, '--annotations', of(name), '--detections', none, '--html', page]);
      assert.equal(drawn.code, 0, drawn.stderr);
      const html = readFileSync(page, 'utf8');
      assert.match(html, /it can&#39;t be shown: the annotations name .*which is outside/);
      assert.doesNotMatch(html, /<img/);
    }
    for (const name of ['own.jpg', 'inside.jpg', 'a/../own.jpg']) {
      const { code, stderr } = await cornernet([
        'eval',
        '--images',
        images,
        '--annotations',
        of(name),
        '--detections',
        none,
        '--html',
        page,
      ]);
      assert.equal(code, 0, stderr);
      assert.match(readFileSync(page, 'utf8'), /<img/);
    }
  });
});
