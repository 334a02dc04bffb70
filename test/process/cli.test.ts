// The command line as a user meets it: formats, exit codes, messages, files.
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import sharp from 'sharp';

import type { DetectionResult } from '../../lib/index.js';
import { detectAllTable } from '../../lib/options/table.js';
import { fixtures, orSkip, root } from '../environment.js';
import { assertComplete, photos, writeList } from '../support/batch.js';
import { cornernet, pressTwice, runNode, startCornernet } from '../support/child.js';
import { withFaults } from '../support/faults.js';
import { eachInAFolder } from '../support/scratch.js';

const scenes = ['scene0.jpg', 'scene1.jpg', 'scene2.jpg', 'scene3.jpg'].map((name) => join(root, 'pictures', name));
const [scene] = scenes as [string];

describe('cornernet', function () {
  this.timeout(120_000);
  let folder: string;
  eachInAFolder('cli', (made) => (folder = made));

  const lines = (text: string): DetectionResult[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as DetectionResult);

  it('detect writes a JSON line a picture, in the order of the inputs, and nothing else to standard output', async () => {
    const { code, stdout } = await cornernet(['detect', ...scenes]);
    assert.equal(code, 0);
    const results = lines(stdout);
    assert.deepEqual(
      results.map(({ image }) => image),
      scenes,
    );
    assert.deepEqual([results[0]?.width, results[0]?.height], [480, 360]);
    assert.ok(
      results.every(({ detections }) =>
        detections.every(({ score, box, label }) => score >= 0.5 && box.every(Number.isFinite) && /^[0-9]$/.test(label)),
      ),
    );
    assert.ok(results.some(({ detections }) => detections.length > 3));
  });

  it('takes folders, globs and a list on standard input', async () => {
    const wanted = scenes.map((path) => path.slice(root.length + 1));
    for (const [args, input] of [
      [['pictures'], ''],
      [['pictures/scene?.jpg'], ''],
      [['-'], `${wanted.join('\n')}\n`],
    ] as const) {
      const { code, stdout } = await cornernet(['detect', ...args, '--quiet'], { input });
      assert.equal(code, 0);
      assert.deepEqual(
        lines(stdout).map(({ image }) => image),
        wanted,
      );
    }
  });

  it("takes a picture's bytes, and paths between NUL bytes, on standard input", async () => {
    const [result] = lines((await cornernet(['detect', scene, '-q'])).stdout);
    const { code, stdout } = await cornernet(['detect', '-', '-q', '--draw', folder], { input: readFileSync(scene) });
    assert.equal(code, 0);
    assert.deepEqual(lines(stdout), [{ ...result, image: '-' }]);
    assert.deepEqual(readdirSync(folder), ['stdin.jpg']);
    const odd = join(folder, 'two\nlines .jpg');
    copyFileSync(scene, odd);
    const found = await cornernet(['detect', '-', '-q'], { input: `${odd}\0${scene}\0` });
    assert.deepEqual(
      lines(found.stdout).map(({ image }) => image),
      [odd, scene],
    );
  });

  it('says what it chose, what it passed over, and why nothing may have been found', async () => {
    writeFileSync(join(folder, 'notes.txt'), '');
    copyFileSync(scene, join(folder, 'a.jpg'));
    const plain = (await cornernet(['detect', folder])).stderr;
    assert.match(plain, /the weights digits \(only handwritten digits/);
    assert.match(plain, /1 file that is no picture was passed over/);
    assert.doesNotMatch(plain, /nothing was found/);
    const nothing = ['detect', scene, '--score-threshold', '1'];
    assert.match((await cornernet(nothing)).stderr, /nothing was found: the weights digits know only handwritten digits/);
    assert.doesNotMatch((await cornernet([...nothing, '--weights', 'digits'])).stderr, /digits/);
    assert.equal((await cornernet([...nothing, '-q'])).stderr, '');
  });

  it('a picture that fails has its error in its place, the others go on, the exit code is 2', async () => {
    const broken = join(folder, 'broken.jpg');
    writeFileSync(broken, readFileSync(scene).subarray(0, 2000));
    const { code, stdout } = await cornernet(['detect', scene, broken, join(folder, 'missing.jpg'), scene, '-q']);
    assert.equal(code, 2);
    const records = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { image: string; error?: { code: string; message: string } });
    assert.deepEqual(
      records.map(({ error }) => error?.code),
      [undefined, 'ERR_INPUT', 'ERR_INPUT', undefined],
    );
    assert.ok(records[2]?.error?.message.includes('missing.jpg'));
  });

  it('says which pictures failed, and why, where the results have no place for it', async () => {
    const val = join(fixtures, 'digits', 'val');
    const annotations = join(folder, 'annotations.json');
    writeFileSync(annotations, readFileSync(join(val, 'annotations.json'), 'utf8').replace('0001.jpg', 'missing.jpg'));
    const inputs = [join(val, '0000.jpg'), join(folder, 'missing.jpg')];
    const failure = /^ERR_INPUT: .*missing\.jpg failed: .*missing\.jpg can't be read as a picture: ENOENT.*\n$/;
    for (const [format, sentence] of [
      [['csv'], failure],
      [['coco', '--annotations', annotations], failure],
      [['coco', '--output', join(folder, 'plain.json')], /^$/],
      [['table'], /^$/],
    ] as [string[], RegExp][]) {
      const { code, stderr } = await cornernet(['detect', ...inputs, '-q', '--format', ...format]);
      assert.equal(code, 2);
      assert.match(stderr, sentence);
    }
    const { stderr } = await cornernet(['detect', ...Array.from({ length: 50 }, () => 'missing.jpg'), '--format', 'csv']);
    assert.deepEqual([stderr.match(/^ERR_INPUT: /gm)?.length, stderr.match(/further failures/g)?.length], [20, 1]);
    assert.match(stderr, /50 of 50 pictures failed/);
  });

  it('exits with 1 and `CODE: sentence` when nothing could be done', async () => {
    for (const [args, sentence] of [
      [['detect', scene, '--weights', 'nothing.pth'], /^ERR_WEIGHTS: there are no weights nothing\.pth/],
      [['detect', scene, '--weights', scene], /^ERR_CHECKPOINT: .*not a checkpoint/],
      [['detect', scene, '--scales', '0.5,big'], /^ERR_OPTION: --scales takes a number, not 'big'/],
      [['detect', scene, '--scales', '9'], /^ERR_OPTION: option scales\.0 is 9/],
      [['detect', scene, '--score-threshold', '2'], /^ERR_OPTION: option scoreThreshold is 2/],
      [['detect', scene, '--threads', 'many'], /^ERR_OPTION: --threads takes a number, not 'many'/],
      [['detect', scene, '--device', 'gpu'], /^ERR_OPTION: option device is 'gpu'/],
      [['detect', scene, '--classes', '1,seven'], /^ERR_OPTION: option classes has 'seven'/],
      [['detect', scene, '--format', 'coco'], /^ERR_OPTION: --format coco needs --output/],
      [['detect', scene, '--format', 'xml'], /^ERR_OPTION: .*xml.*jsonl, coco, csv, table/],
      [['detect', scene, '--nonsense'], /^ERR_OPTION: unknown option '--nonsense'/],
      [['detect', scene, '--outptu', 'x'], /^ERR_OPTION: unknown option '--outptu'\n {2}\(Did you mean --output\?\)/],
      [['detct', scene], /^ERR_OPTION: unknown command 'detct'\n {2}\(Did you mean detect\?\)/],
      [['detect', scene, '--annotations', 'a.json'], /^ERR_OPTION: --annotations gives the ids of --format coco/],
      [['detect', scene, '--draw', 'x', '--heatmaps', './x'], /^ERR_OPTION: --draw and --heatmaps name the same folder/],
      [
        ['detect', scene, '--heatmaps', 'x', '--tiles', '255'],
        /^ERR_OPTION: --heatmaps are of pictures .* leave --tiles or --heatmaps out/,
      ],
      [['detect'], /^ERR_OPTION: missing required argument/],
      [['detect', join(folder, '*.jpg')], /^ERR_INPUT: no file matches/],
      [['detect', folder], /^ERR_INPUT: the folder .* holds no pictures/],
      [['weights', 'fetch', '5x5'], /^ERR_WEIGHTS: there are no weights 5x5/],
    ] as [string[], RegExp][]) {
      const { code, stdout, stderr } = await cornernet([...args, ...(args[0] === 'detect' && args.length > 1 ? ['-q'] : [])]);
      assert.deepEqual([code, stdout], [1, ''], args.join(' '));
      assert.match(stderr, sentence);
    }
    const { code } = await cornernet(['detect', join(folder, 'missing.jpg'), '-q']);
    assert.equal(code, 1);
  });

  it('an output file appears whole or not at all', async function () {
    const output = join(folder, 'new', 'results.jsonl');
    assert.equal((await cornernet(['detect', scene, '-o', output, '-q'])).code, 0);
    assert.equal(lines(readFileSync(output, 'utf8')).length, 1);
    assert.deepEqual(readdirSync(join(folder, 'new')), ['results.jsonl']);
    const env = await orSkip(this, () => withFaults({ rules: ['write:ENOSPC'], path: 'x.jsonl' }));
    const failed = await cornernet(['detect', scene, '-o', join(folder, 'x.jsonl'), '-q'], { env });
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^ERR_WRITE: .*x\.jsonl can't be written: ENOSPC/);
    assert.deepEqual(readdirSync(folder), ['new']);
  });

  it('a picture that the annotations lack is refused before the weights are loaded', async () => {
    const val = join(fixtures, 'digits', 'val');
    const coco = ['--format', 'coco', '--annotations', join(val, 'annotations.json'), '--weights', 'none.pth', '-q'];
    const { code, stderr } = await cornernet(['detect', join(val, '0000.jpg'), scene, ...coco]);
    assert.equal(code, 1);
    assert.match(stderr, /^ERR_INPUT: .*no picture called scene0\.jpg/);
  });

  it('outputs that can not be written are refused before the weights are loaded', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'kept');
    const long = 'x'.repeat(300);
    for (const [flag, path, sentence] of [
      ['--output', folder, /it is a folder/],
      ['--output', join(file, 'x.jsonl'), /not a directory/],
      ['--output', join(folder, 'none', long), /more than 255 bytes/],
      ['--draw', file, /is a file, not a folder/],
      ['--heatmaps', join(file, 'maps'), /not a directory/],
      ['--draw', join(folder, 'none', long, 'deeper'), /more than 255 bytes/],
    ] as const) {
      const { code, stderr } = await cornernet(['detect', scene, '--weights', 'none.pth', flag, path, '-q']);
      assert.deepEqual([code, /^ERR_WRITE: .* can't be written: /.test(stderr)], [1, true], stderr);
      assert.match(stderr, sentence);
    }
    assert.deepEqual(readdirSync(folder), ['file']);
    assert.equal(readFileSync(file, 'utf8'), 'kept');
  });

  it('an output that is an input is refused, whatever its name, before the weights are loaded', async () => {
    const [first, second, link, text] = ['oi.jpg', 'oi.png', 'link.jpg', 'a.json'].map((name) => join(folder, name)) as [string, string, string, string]; // prettier-ignore
    for (const path of [first, second]) copyFileSync(scene, path);
    symlinkSync(first, link);
    writeFileSync(text, '{}');
    mkdirSync(join(folder, 'drawn'));
    symlinkSync(first, join(folder, 'drawn', 'oi-2.jpg'));
    for (const [args, output] of [
      [['detect', first, '-o', first], first],
      [['detect', folder, '-o', link], link],
      [['detect', folder, '--draw', folder], first],
      [['detect', folder, '--heatmaps', folder], first],
      [['detect', second, link, first, '--draw', join(folder, 'drawn')], join(folder, 'drawn', 'oi-2.jpg')],
      [['detect', first, '--format', 'coco', '--annotations', text, '-o', text], text],
      [['eval', '--annotations', 'none.json', '--detections', text, '--save-detections', text], text],
      [['eval', '--annotations', text, '--detections', 'none.json', '--output', text], text],
      [['quantize', '--weights', text, '--images', folder, '--output', text], text],
      [['quantize', '--weights', text, '--images', folder, '--output', 'x.pth', '--json', text], text],
    ] as [string[], string][]) {
      const { code, stderr } = await cornernet([...args, ...(args[0] === 'detect' ? ['--weights', 'none.pth'] : []), '-q']);
      assert.equal(code, 1, args.join(' '));
      assert.ok(stderr.startsWith(`ERR_OPTION: the output ${output} is the input `), stderr);
    }
    for (const path of [first, second]) assert.deepEqual(readFileSync(path), readFileSync(scene));
    assert.equal(readFileSync(text, 'utf8'), '{}');
  });

  it('writes through devices and pipes, and keeps links and modes', async () => {
    assert.equal((await cornernet(['detect', scene, '-o', '/dev/null', '-q'])).code, 0);
    assert.ok(statSync('/dev/null').isCharacterDevice());
    const full = await cornernet(['detect', scene, '-o', '/dev/full', '-q']);
    assert.equal(full.code, 1);
    assert.match(full.stderr, /^ERR_WRITE: \/dev\/full can't be written: ENOSPC/);

    const pipe = join(folder, 'pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const [read] = await Promise.all([readFile(pipe, 'utf8'), cornernet(['detect', scene, '-o', pipe, '-q'])]);
    assert.equal(lines(read).length, 1);
    assert.ok(statSync(pipe).isFIFO());
    rmSync(pipe);

    mkdirSync(join(folder, 'there'));
    writeFileSync(join(folder, 'there', 'results.jsonl'), 'old', { mode: 0o600 });
    symlinkSync(join('there', 'results.jsonl'), join(folder, 'link'));
    symlinkSync(join('there', 'later.jsonl'), join(folder, 'dangling'));
    for (const link of ['link', 'dangling']) {
      assert.equal((await cornernet(['detect', scene, '-o', join(folder, link), '-q'])).code, 0);
      assert.ok(lstatSync(join(folder, link)).isSymbolicLink());
      assert.equal(lines(readFileSync(join(folder, link), 'utf8')).length, 1);
    }
    assert.equal(statSync(join(folder, 'there', 'results.jsonl')).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(join(folder, 'there')).sort(), ['later.jsonl', 'results.jsonl']);
  });

  it('COCO results have ids: classId + 1 and positions, listed beside, or those of an annotation file', async () => {
    const output = join(folder, 'results.json');
    assert.equal((await cornernet(['detect', ...scenes, '--format', 'coco', '-o', output, '-q'])).code, 0);
    interface Record {
      image_id: number;
      category_id: number;
      bbox: number[];
      score: number;
    }
    const records = JSON.parse(readFileSync(output, 'utf8')) as Record[];
    const { images } = JSON.parse(readFileSync(join(folder, 'results.images.json'), 'utf8')) as {
      images: { id: number; file_name: string }[];
    };
    assert.deepEqual(
      images.map(({ id, file_name }) => [id, file_name]),
      scenes.map((path, i) => [i + 1, path]),
    );
    // No list where the results are no file; ERR_WRITE before the weights are loaded where it can't be written.
    const through = join(folder, 'through');
    symlinkSync('/dev/stdout', through);
    const piped = await cornernet(['detect', ...scenes, '--format', 'coco', '-o', through, '-q']);
    assert.deepEqual([piped.code, piped.stderr, piped.stdout], [0, '', readFileSync(output, 'utf8')]);
    assert.deepEqual(readdirSync(folder).sort(), ['results.images.json', 'results.json', 'through']);
    mkdirSync(join(folder, 'upper.images.json'));
    const refused = await cornernet(['detect', scene, '--format', 'coco', '-o', join(folder, 'upper.JSON'), '--weights', 'none.pth']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^ERR_WRITE: .*upper\.images\.json can't be written: it is a folder/);
    const results = lines((await cornernet(['detect', ...scenes, '-q'])).stdout);
    const [first] = results[0]?.detections ?? [];
    assert.ok(first);
    const [x1, y1, x2, y2] = first.box;
    assert.deepEqual(records[0], { image_id: 1, category_id: first.classId + 1, bbox: [x1, y1, x2 - x1, y2 - y1], score: first.score });

    const picture = join(fixtures, 'digits', 'val', '0003.jpg');
    const annotations = join(fixtures, 'digits', 'val', 'annotations.json');
    const annotated = await cornernet(['detect', picture, '--format', 'coco', '--annotations', annotations, '-q']);
    assert.equal(annotated.code, 0);
    assert.ok((JSON.parse(annotated.stdout) as Record[]).every(({ image_id }) => image_id === 4));
    assert.deepEqual(
      JSON.parse(
        (await cornernet(['detect', picture, '--format', 'coco', '--annotations', annotations, '--score-threshold', '1', '-q'])).stdout,
      ),
      [],
    );
  });

  it('draws boxes and heatmaps, for pictures of one name too', async () => {
    mkdirSync(join(folder, 'a'));
    mkdirSync(join(folder, 'b'));
    const copies = [join(folder, 'a', 'same.jpg'), join(folder, 'b', 'same.jpg')];
    for (const copy of copies) copyFileSync(scene, copy);
    const drawn = join(folder, 'drawn');
    assert.equal((await cornernet(['detect', ...copies, '--draw', drawn, '--heatmaps', join(folder, 'maps'), '-q'])).code, 0);
    for (const out of [drawn, join(folder, 'maps')]) {
      assert.deepEqual(readdirSync(out).sort(), ['same-2.jpg', 'same.jpg']);
      const { width, height } = await sharp(join(out, 'same.jpg')).metadata();
      assert.deepEqual([width, height], [960, 720]); // a small picture is enlarged, so that its labels can be read
      const { channels } = await sharp(join(out, 'same.jpg')).stats();
      const plain = await sharp(scene).resize(960, 720, { kernel: 'cubic' }).stats();
      assert.ok(Math.abs((channels[0]?.mean ?? 0) - (plain.channels[0]?.mean ?? 0)) > 0.2, 'nothing was drawn');
    }
  });

  it("a drawing that can not be written is its picture's failure; long names are shortened", async () => {
    const long = join(folder, `${'ä'.repeat(125)}.jpg`);
    copyFileSync(scene, long);
    const drawn = join(folder, 'drawn');
    mkdirSync(join(drawn, 'scene0.jpg'), { recursive: true });
    const { code, stdout, stderr } = await cornernet(['detect', ...scenes.slice(0, 2), long, '--draw', drawn]);
    assert.equal(code, 2);
    assert.equal(lines(stdout).length, 3);
    assert.match(stderr, /^ERR_WRITE: .*scene0\.jpg is not drawn: .*it is a folder$/m);
    assert.match(stderr, /1 of 3 pictures could not be drawn/);
    assert.deepEqual(readdirSync(drawn).length, 3);
    const other = join(folder, 'other');
    const longer = join(folder, `${'x'.repeat(251)}.jpg`);
    copyFileSync(scene, longer);
    assert.equal((await cornernet(['detect', longer, longer, '--draw', other, '-q'])).code, 0);
    assert.equal(readdirSync(other).filter((name) => /^x{200,}.*\.jpg$/.test(name)).length, 2);
  });

  it('the table has a row a detection', async () => {
    const { stdout } = await cornernet(['detect', scene, '--format', 'table', '-q']);
    assert.match(stdout, /│ picture +│ object │ score │/);
    assert.match(stdout, /scene0\.jpg │ 4 +│ 0\.9\d +│/);
    // Rows of failures and of nothing span columns; every line is as wide as the first.
    const blank = join(folder, 'blank.png');
    await sharp({ create: { width: 9, height: 9, channels: 3, background: 'grey' } }).toFile(blank);
    const mixed = (await cornernet(['detect', 'no.jpg', scene, 'no.jpg', blank, scene, '--format', 'table', '-q'])).stdout
      .trimEnd()
      .split('\n');
    assert.equal(mixed.length, 19);
    for (const line of mixed) assert.equal(line.length, mixed[0]?.length, line);
    assert.match(mixed[3] ?? '', /^│ no\.jpg +│ ERR_INPUT: /);
    assert.ok(mixed.some((line) => /blank\.png +│ nothing found +│$/.test(line)));
  });

  for (const stop of ['SIGINT', 'SIGTERM'] as const) {
    it(`the first ${stop} finishes what is in flight and writes it, the second gives it up and writes what there is`, async () => {
      const list = Array.from({ length: 3000 }, () => scene).join('\n');
      for (const times of [1, 2]) {
        const output = join(folder, `results-${times}.jsonl`);
        const { code, signal, stderr } = await cornernet(['detect', '-', '-o', output, '--batch-size', '16'], {
          input: list,
          during: (child) => {
            // The partial file shows that results are coming.
            const timer = setInterval(() => {
              if (!readdirSync(folder).some((name) => name.endsWith('.part'))) return;
              clearInterval(timer);
              if (times === 1) child.kill(stop);
              else void pressTwice(child, stop);
            }, 50);
          },
        });
        assert.ok(code === 130 || (times === 2 && signal === stop), `${code} ${signal}`); // by the second itself where all was written by then
        const done = lines(readFileSync(output, 'utf8')).length;
        assert.ok(done > 0 && done < 3000);
        assert.match(stderr, new RegExp(`interrupted after ${done} of 3000 pictures`));
      }
      assert.deepEqual(readdirSync(folder).sort(), ['results-1.jsonl', 'results-2.jsonl']);
    });
  }

  it('ends quietly when its reader goes away', async () => {
    const command = `"${process.execPath}" dist/cli.js detect ${scenes.join(' ')} ${scenes.join(' ')} -q | head -c 10`;
    const child = spawn('bash', ['-o', 'pipefail', '-c', command], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(stderr, '');
  });

  it('a closed output ends no job, and is said where pictures are still to be drawn', async () => {
    const job = join(folder, 'closed');
    const some = photos.slice(0, 40);
    const many = writeList(join(folder, 'many.txt'), some);
    const { child, ended } = startCornernet(['batch', many, '--output', job, '--progress', 'json', '--device', 'cpu']);
    child.stdout?.once('data', () => child.stdout?.destroy());
    const { code, stderr } = await ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /nobody takes the progress any more; the job goes on/);
    assert.equal(stderr.match(/nobody takes/g)?.length, 1);
    assertComplete(job, some);
    const drawing = startCornernet(['detect', ...some, '--draw', join(folder, 'closed-drawn'), '-q']);
    drawing.child.stdout?.once('data', () => drawing.child.stdout?.destroy());
    const given = await drawing.ended;
    assert.deepEqual([given.code, given.stderr], [1, 'ERR_WRITE: nobody takes the output any more: given up\n']);
    // With nobody at standard error either.
    const silent = startCornernet(['batch', ...photos.slice(0, 3), '--output', join(folder, 'silent')]);
    silent.child.stderr?.destroy();
    assert.equal((await silent.ended).code, 0);
    assertComplete(join(folder, 'silent'), photos.slice(0, 3));
  });

  it('help is a document, and works without the addon', async () => {
    const env = { ...process.env, CORNERNET_ADDON: join(folder, 'none.node') };
    for (const args of [['--help'], ['detect', '--help'], ['weights', '--help'], ['setup', '--help']]) {
      const { code, stdout } = await cornernet(args, { env });
      assert.equal(code, 0);
      assert.match(stdout, /Usage: cornernet/);
    }
    assert.match((await cornernet(['detect', '--help'], { env })).stdout, /Output:[^]*Device:[^]*Examples:[^]*Exit codes:/);
    const pipeline = (await cornernet(['bench', 'pipeline', '--help'], { env })).stdout.replaceAll(/\s+/g, ' ');
    assert.ok(pipeline.includes(`(default: ${detectAllTable.concurrency.standard})`), pipeline);
  });

  it('an addon of another version is told apart from one that is broken', async () => {
    const env = { ...process.env, CORNERNET_ADDON: join(root, 'build', 'Release', 'cornernet_testing.node') };
    const { code, stderr } = await cornernet(['detect', ...scenes], { env });
    assert.equal(code, 1);
    assert.match(stderr, /cornernet_testing\.node was built from another version of cornernet: run `npx cornernet setup`/);
  });

  it('help loads nothing but the command line itself', async () => {
    const script = `process.argv.splice(1, 0, 'cornernet', '--help');
      process.on('exit', () => console.error(JSON.stringify(Object.keys(require.cache))));
      require('./dist/cli.js');`;
    const { stderr } = await runNode(['-e', script]);
    const loaded = (JSON.parse(stderr) as string[]).map((file) => file.slice(root.length + 1));
    assert.ok(loaded.length > 1 && loaded.length < 10, stderr);
    assert.ok(loaded.every((file) => /^dist\/[\w-]+\.js$/.test(file)), stderr); // prettier-ignore
  });

  it('doctor says what is here, as JSON too', async () => {
    const { stdout } = await cornernet(['doctor', '--json']);
    const { findings } = JSON.parse(stdout) as { findings: { subject: string; found: string; remedy?: string }[] };
    assert.deepEqual(
      new Set(findings.map(({ subject }) => subject)),
      new Set(['Node', 'Addon', 'CPU', 'LibTorch', 'GPU', 'Cache', 'Weights']),
    );
    assert.match(findings.find(({ subject }) => subject === 'Addon')?.found ?? '', /LibTorch 2\.\d+\.\d+/);
  });

  it('uses no other program: an empty PATH is enough', async () => {
    const { code, stdout } = await cornernet(['detect', scene, '-q'], { env: { PATH: '', HOME: folder } });
    assert.equal(code, 0);
    assert.equal(lines(stdout).length, 1);
    assert.ok(!existsSync(join(folder, '.cache')));
  });
});
