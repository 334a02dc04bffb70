// Batch jobs: one record a picture, whatever happens.
import { strict as assert } from 'node:assert';
import { appendFileSync, copyFileSync, existsSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import sharp from 'sharp';
import { pack } from 'tar-stream';

import type { BatchSummary } from '../../lib/jobs/types.js';
import { fixtures, orSkip, root, skipUnlessAllowed } from '../environment.js';
import { assertComplete, childrenOf, copiesIn, errorsOf, partsOf, photos, random, resultsOf, until, writeList } from '../support/batch.js';
import { openInBrowser } from '../support/browser.js';
import { cornernet, inChildren, pressTwice, runScript, startCornernet, waitingFor } from '../support/child.js';
import { withFaults } from '../support/faults.js';
import { eachInAFolder } from '../support/scratch.js';

const few = photos.slice(0, 6);

describe('cornernet batch', function () {
  this.timeout(300_000);
  let folder: string;
  let job: string;
  eachInAFolder('batch', (made) => {
    folder = made;
    job = join(folder, 'job');
  });

  const copies = (names: readonly string[]): string[] => copiesIn(join(folder, 'pictures'), names);

  it('writes the records that detect writes; done already is done', async () => {
    const { code, stderr } = await cornernet(['batch', ...few, '--output', job]);
    assert.deepEqual([code, /6 of 6 pictures have a result/.test(stderr)], [0, true], stderr);
    const detected = await cornernet(['detect', ...few, '--quiet']);
    // Behind what detect writes, a line has its position and a checksum.
    const lines = readFileSync(partsOf(job)[0] as string, 'utf8');
    assert.equal(lines.replaceAll(/,"position":\d+,"crc32":"[0-9a-f]{8}"\}$/gm, '}'), detected.stdout);
    const before = readFileSync(partsOf(job)[0] as string);
    assert.equal((await cornernet(['batch', ...few, '--output', job])).code, 0);
    assert.equal((await cornernet(['batch', '--output', job])).code, 0);
    assert.deepEqual(readFileSync(partsOf(job)[0] as string), before);
  });

  it('records what fails and goes on; --retry-errors tries it again; --max-errors stops early', async () => {
    const good = copies(['a.jpg', 'b.jpg', 'c.jpg']);
    const bad = ['x.jpg', 'y.jpg'].map((name) => join(folder, 'pictures', name));
    for (const path of bad) writeFileSync(path, 'no picture');
    const all = join(folder, 'pictures');
    assert.equal((await cornernet(['batch', all, '--output', job])).code, 2);
    assertComplete(job, [...good, ...bad], bad);
    assert.deepEqual(
      errorsOf(job).map(({ error }) => error.code),
      ['ERR_INPUT', 'ERR_INPUT'],
    );
    assert.equal((await cornernet(['batch', all, '--output', job])).code, 2);
    copyFileSync(few[3] as string, bad[0] as string);
    assert.equal((await cornernet(['batch', '--output', job, '--retry-errors'])).code, 2);
    assertComplete(job, [...good, ...bad], [bad[1] as string]);
    copyFileSync(few[4] as string, bad[1] as string);
    assert.equal((await cornernet(['batch', '--output', job, '--retry-errors'])).code, 0);
    assertComplete(job, [...good, ...bad]);

    const missing = writeList(
      join(folder, 'missing.txt'),
      Array.from({ length: 500 }, (_, i) => join(folder, `${i}.jpg`)),
    );
    const stopped = await cornernet(['batch', missing, '--output', join(folder, 'other'), '--max-errors', '3']);
    assert.equal(stopped.code, 2);
    const failed = errorsOf(join(folder, 'other')).length;
    assert.ok(failed > 3 && failed < 500, `${failed} failed`);
    assert.match(stopped.stderr, /stopped with \d+ of 500 pictures to do; the same command goes on/);
    assert.ok(stopped.stderr.includes(`goes on with --retry-errors, or with --max-errors ${failed} or more`), stopped.stderr);
  });

  it('says when a picture is far larger than what the weights were trained on; refuses ids that no format would use', async () => {
    const large = join(folder, 'large.png');
    await sharp({ create: { width: 900, height: 40, channels: 3, background: 'grey' } }).toFile(large);
    const { code, stderr } = await cornernet(['batch', large, '--output', job]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /large\.png is 900x40 pixels large and the weights were trained on about 192/);
    const refused = await cornernet(['batch', large, '--output', join(folder, 'other'), '--annotations', 'a.json']);
    assert.deepEqual([refused.code, existsSync(join(folder, 'other'))], [1, false], refused.stderr);
    assert.match(refused.stderr, /^ERR_OPTION: batch option annotations is for the format 'coco' only/m);
  });

  it('goes on after a cut at every byte of the last record', async () => {
    assert.equal((await cornernet(['batch', ...few, '--output', job])).code, 0);
    const part = partsOf(job).at(-1) as string;
    const whole = readFileSync(part);
    const begin = whole.lastIndexOf(10, whole.length - 2) + 1;
    // In one process: the records alone are read again, the addon would do the same each time.
    const { code, stderr, stdout } = await runScript(
      `
      const fs = require('node:fs');
      const [part, job] = ${JSON.stringify([part, job])};
      const whole = fs.readFileSync(part);
      let cuts = 0;
      for (let at = ${begin}; at < whole.length; at++) {
        fs.writeFileSync(part, whole.subarray(0, at));
        const summary = await jobs.runBatch({ output: job });
        if (summary.state !== 'complete' || !fs.readFileSync(part).equals(whole)) throw new Error('cut at ' + at);
        cuts++;
        // Every twenty-fifth through the addon is enough: the others get their record as it was.
        for (const end = Math.min(whole.length, at + 25); at + 1 < end; at++) {
          fs.writeFileSync(part, whole.subarray(0, at + 1));
          const { JobRecords } = require(${JSON.stringify(join(root, 'lib', 'jobs', 'records.ts'))});
          const { FrozenList } = require(${JSON.stringify(join(root, 'lib', 'jobs', 'list.ts'))});
          const records = await JobRecords.open(job, new FrozenList(job, ${few.length}));
          const pending = [];
          for await (const one of records.pending()) pending.push(one);
          if (pending.length !== 1) throw new Error('cut at ' + (at + 1) + ' leaves ' + pending.length);
          const { position, crc32, ...record } = JSON.parse(whole.subarray(${begin}).toString());
          await records.write(pending[0], record);
          await records.close();
          if (!fs.readFileSync(part).equals(whole)) throw new Error('cut at ' + (at + 1));
          cuts++;
        }
      }
      console.log(cuts);
    `,
      { flags: ['--import', 'tsx'] },
    );
    assert.deepEqual([code, stderr, Number(stdout)], [0, '', whole.length - begin]);
    assertComplete(job, few);
  });

  it('a damaged line, a foreign one and one too many are set aside, and only what they recorded is computed again', async () => {
    assert.equal((await cornernet(['batch', ...few, '--output', job])).code, 0);
    const part = partsOf(job)[0] as string;
    const whole = readFileSync(part, 'utf8');
    const lines = whole.trimEnd().split('\n');
    const second = lines[1] as string;
    const digit = second.replace(/"score":0\.(\d)/, (_, digit: string) => `"score":0.${(Number(digit) + 1) % 10}`);
    assert.notEqual(digit, second);
    for (const instead of [['\0'.repeat(second.length)], [''], [second, ''], [second, second], [second, '{"image":"else.jpg"}'], [digit]]) {
      const damage = instead.filter((line, i) => i > 0 || line !== second);
      const kept = lines.filter((line) => line !== second || instead[0] === second);
      const damaged = [lines[0], ...instead, ...lines.slice(2), ''].join('\n');
      writeFileSync(part, damaged);
      const verified = await cornernet(['batch', '--output', job, '--verify', '--progress', 'json']);
      const { whole: isWhole, pending } = JSON.parse(verified.stdout) as { whole: boolean; pending: number };
      assert.deepEqual([verified.code, isWhole, pending], [2, false, lines.length - kept.length], verified.stderr);
      assert.equal(readFileSync(part, 'utf8'), damaged);
      const { code, stderr } = await cornernet(['batch', '--output', job]);
      assert.deepEqual([code, /1 line of results-000000\.jsonl/.test(stderr)], [0, true], stderr);
      const now = readFileSync(part, 'utf8').trimEnd().split('\n');
      assert.deepEqual(now.slice(0, kept.length), kept);
      assert.deepEqual(now.sort(), [...lines].sort());
      assert.deepEqual(readFileSync(join(job, 'damaged-results-000000.jsonl'), 'utf8'), `${damage.join('\n')}\n`);
      const { setAside } = JSON.parse(readFileSync(join(job, 'summary.json'), 'utf8')) as { setAside: string[] };
      assert.deepEqual(setAside, ['damaged-results-000000.jsonl']);
      rmSync(join(job, 'damaged-results-000000.jsonl'));
      const again = await cornernet(['batch', '--output', job, '--verify']);
      assert.deepEqual([again.code, /the job is whole/.test(again.stderr)], [0, true], again.stderr);
      writeFileSync(part, whole);
    }
    // Of a job whose end was not recorded, what its outputs are made of tells.
    writeFileSync(part, [lines[0], digit, ...lines.slice(2), ''].join('\n'));
    rmSync(join(job, 'summary.json'));
    const { code, stderr } = await cornernet(['batch', '--output', job]);
    assert.deepEqual([code, /was damaged after it was complete: all records are read again/.test(stderr)], [0, true], stderr);
    assert.equal((await cornernet(['batch', '--output', job, '--verify'])).code, 0);
  });

  it('a complete job that is mended has a new summary, which names what was set aside', async () => {
    const summary = () => JSON.parse(readFileSync(join(job, 'summary.json'), 'utf8')) as { state: string; setAside?: string[] };
    assert.equal((await cornernet(['batch', ...few, '--output', job])).code, 0);
    const part = partsOf(job)[0] as string;
    const before = summary();
    const whole = readFileSync(part, 'utf8');
    const [first, second = '', ...others] = whole.split('\n');
    const damage = { blank: [first, '', ...others], twice: [first, second, second, ...others] };
    for (const lines of Object.values(damage)) {
      writeFileSync(part, lines.join('\n'));
      assert.equal((await cornernet(['batch', '--output', job])).code, 0);
      assert.deepEqual(summary(), { ...before, setAside: ['damaged-results-000000.jsonl'] });
      rmSync(join(job, 'damaged-results-000000.jsonl'));
    }
  });

  it('killed with SIGKILL and started again at 50 random moments, loses, doubles and wrongly fails nothing', async function () {
    this.timeout(600_000);
    const next = random(7);
    const inputs = Array.from({ length: 150 }, (_, i) => photos[i % 20] as string);
    const list = writeList(join(folder, 'list.txt'), inputs);
    let kills = 0;
    for (let round = 0; kills < 50; round++) {
      const here = join(folder, `job-${round}`);
      for (let complete = false; !complete;) {
        const { child, ended } = startCornernet(['batch', list, '--output', here, '--progress', 'none']);
        const killer = setTimeout(
          () => {
            // Mostly the whole command, now and then the process under it that runs the addon.
            const [below] = next() < 0.3 ? childrenOf(child.pid as number) : [];
            try {
              process.kill(below ?? (child.pid as number), 'SIGKILL');
              kills++;
            } catch {
              // it has just ended by itself
            }
          },
          kills < 50 ? 100 + next() * 900 : 600_000,
        );
        const { code, signal, stderr } = await ended;
        clearTimeout(killer);
        complete = signal === null;
        if (complete) assert.equal(code, 0, stderr);
      }
      assertComplete(here, inputs);
    }
  });

  it('refuses other settings, another checkpoint, another folder and a second process, and says why', async () => {
    assert.equal((await cornernet(['batch', ...few, '--output', job, '--limit', '2'])).code, 0);
    const refusals: [string[], RegExp][] = [
      [['--limit', '2', '--score-threshold', '0.1'], /^ERR_JOB: .*scoreThreshold was 0\.5 and is 0\.1/m],
      [['--limit', '2', '--weights', join(fixtures, 'hourglass52_tiny.pth')], /^ERR_JOB: .*the checkpoint \(sha256\) of digits was/m],
      [['--limit', '3'], /^ERR_JOB: .*limit was 2 and is 3/m],
    ];
    for (const [flags, sentence] of refusals) {
      const { code, stderr } = await cornernet(['batch', ...few, '--output', job, ...flags]);
      assert.equal(code, 1);
      assert.match(stderr, sentence);
    }
    const { code, stderr } = await cornernet(['batch', ...few, '--output', folder]);
    assert.deepEqual([code, /^ERR_JOB: .*is no job's folder and not empty/m.test(stderr)], [1, true], stderr);
    assert.ok(!existsSync(join(folder, 'lock-000001.json')));

    const busy = join(folder, 'busy');
    const list = writeList(join(folder, 'list.txt'), Array<string[]>(25).fill(few).flat());
    const first = startCornernet(['batch', list, '--output', busy]);
    await until(() => existsSync(join(busy, 'results-000000.jsonl')), 'the first result');
    first.child.kill('SIGSTOP'); // or it may be done before the other asks
    const second = await cornernet(['batch', list, '--output', busy]);
    assert.equal(second.code, 1);
    assert.match(
      second.stderr,
      new RegExp(`^ERR_LOCKED: the job in .* is being worked on by process ${first.child.pid} on this machine`, 'm'),
    );
    first.child.kill('SIGKILL');
    await first.ended;
    assert.equal((await cornernet(['batch', '--output', busy])).code, 0);
  });

  it('is one process’s between name spaces and with clocks that are minutes apart; no picture is recorded twice', async function () {
    const apart = ['unshare', '--net', '--pid', '--fork', '--mount-proc', '--kill-child'];
    skipUnlessAllowed(this, apart, 'name spaces of its own are not allowed to this user (unshare --net --pid)');
    const inputs = Array<string[]>(5).fill(few).flat();
    const list = writeList(join(folder, 'list.txt'), inputs);
    // The first has work for longer than the others watch it, however fast the machine is.
    const slow = { process: 'child.js', path: 'digits/val', rules: ['read:slow=1500'] };
    const [ahead, behind] = await orSkip(this, async () => [
      await withFaults({ clock: '120', ...slow }),
      await withFaults({ clock: '-120' }),
    ]);
    const first = startCornernet(['batch', list, '--output', job], ahead, apart);
    await until(() => existsSync(join(job, 'results-000000.jsonl')), 'the first result');
    const others = [[], apart].map((under) => startCornernet(['batch', list, '--output', job], behind, under).ended);
    for (const { code, stderr } of await Promise.all(others)) {
      assert.equal(code, 1, stderr);
      assert.match(stderr, /waiting for a sign of its life, at most 60 s\nERR_LOCKED: the job in .* is being worked on by process \d+ on/);
    }
    const { code, stderr } = await first.ended;
    assert.equal(code, 0, stderr);
    assertComplete(job, inputs);
  });

  it('two that begin at once: one works, the other is told so, and no picture is recorded twice', async () => {
    const list = writeList(join(folder, 'list.txt'), Array<string[]>(10).fill(few).flat());
    for (let round = 0; round < 2; round++) {
      const [here, go] = [join(folder, `job-${round}`), join(folder, `go-${round}`)];
      const env = inChildren(join(folder, 'held.cjs'), waitingFor(go));
      const starts = [0, 1].map(() => startCornernet(['batch', list, '--output', here], env).ended);
      await Promise.race(starts);
      writeFileSync(go, '');
      const both = await Promise.all(starts);
      const codes = both.map(({ code }) => code).sort();
      assert.deepEqual(codes, [0, 1], both.map(({ stderr }) => stderr).join('\n'));
      assert.ok(
        both.some(({ stderr }) => /^ERR_LOCKED: .*is being worked on by (process \d+ on this machine|another process)/m.test(stderr)),
      );
      assertComplete(here, Array<string[]>(10).fill(few).flat());
    }
  });

  it('a disk that is full stops the job with a code, and it goes on when there is room', async () => {
    assert.equal((await cornernet(['batch', ...few, '--output', job])).code, 0);
    const part = partsOf(job)[0] as string;
    rmSync(part);
    symlinkSync('/dev/full', part);
    const { code, stderr } = await cornernet(['batch', '--output', job]);
    assert.deepEqual([code, /^ERR_WRITE: .*results-000000\.jsonl can't be written: .*ENOSPC/m.test(stderr)], [1, true], stderr);
    rmSync(part);
    assert.equal((await cornernet(['batch', '--output', job])).code, 0);
    assertComplete(job, few);
  });

  it('Ctrl-C finishes what is in flight and says how to go on; a second one stops at once', async () => {
    const inputs = Array<string[]>(50).fill(few).flat();
    const list = writeList(join(folder, 'list.txt'), inputs);
    const first = startCornernet(['batch', list, '--output', job]);
    await until(() => existsSync(join(job, 'results-000000.jsonl')), 'the first result');
    for (const one of ['SIGINT', 'SIGTERM'] as const) first.child.kill(one); // at once they count as one
    const gentle = await first.ended;
    assert.equal(gentle.code, 130, gentle.stderr);
    assert.match(gentle.stderr, /stopped with \d+ of 300 pictures to do; the same command goes on/);
    const kept = resultsOf(job).length;
    assert.ok(kept > 0 && kept < inputs.length);

    const second = startCornernet(['batch', '--output', job]);
    await until(() => childrenOf(second.child.pid as number).length > 0, 'a start');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await pressTwice(second.child);
    const hard = await second.ended;
    assert.ok(hard.code === 130 || hard.signal === 'SIGINT', hard.stderr); // by the signal itself where all was finished by then
    assert.ok(resultsOf(job).length >= kept);
    assert.equal((await cornernet(['batch', '--output', job])).code, 0);
    assertComplete(job, inputs);
  });

  it('takes lists, globs, tar files, limits and shards', async () => {
    const paths = copies(['a1.jpg', 'a2.jpg', 'a10.jpg', 'b.jpg']);
    const tar = pack();
    for (const path of paths) tar.entry({ name: `in/${basename(path)}` }, readFileSync(path));
    tar.entry({ name: 'in/notes.txt' }, 'no picture');
    tar.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of tar) chunks.push(chunk as Buffer);
    writeFileSync(join(folder, 'some.tar'), Buffer.concat(chunks));
    const list = writeList(join(folder, 'list.txt'), [paths[3] as string, paths[3] as string]);
    const inputs = [join(folder, 'pictures', 'a*.jpg'), list, join(folder, 'some.tar')];
    assert.equal((await cornernet(['batch', ...inputs, '--output', job])).code, 0);
    const members = paths.map((path) => `${join(folder, 'some.tar')}/in/${basename(path)}`);
    assert.deepEqual(
      resultsOf(job).map(({ image }) => image),
      [...paths.slice(0, 3), paths[3], paths[3], ...members],
    );
    assert.deepEqual(resultsOf(job)[5]?.detections, resultsOf(job)[0]?.detections);

    const shards: string[] = [];
    for (const shard of ['1/2', '2/2']) {
      const here = join(folder, `shard-${shard[0]}`);
      assert.equal((await cornernet(['batch', ...inputs, '--output', here, '--shard', shard])).code, 0);
      shards.push(...resultsOf(here).map(({ image }) => image));
    }
    assert.deepEqual(
      shards.sort(),
      resultsOf(job)
        .map(({ image }) => image)
        .sort(),
    );
    const { code, stderr } = await cornernet(['batch', ...inputs, '--output', join(folder, 'no'), '--shard', '3/2']);
    assert.deepEqual([code, /ERR_OPTION: batch option shard/.test(stderr)], [1, true], stderr);

    // A tar file that was cut off afterwards fails its members alone.
    truncateSync(join(folder, 'some.tar'), 30_000);
    appendFileSync(join(folder, 'pictures', 'c.jpg'), readFileSync(paths[0] as string));
    const later = join(folder, 'later');
    assert.equal((await cornernet(['batch', join(folder, 'some.tar'), '--output', later])).code, 1);
  });

  it('writes COCO and CSV at the end, with positions as ids or those of an annotation file', async () => {
    const inputs = [...few, join(folder, 'missing.jpg')];
    assert.equal((await cornernet(['batch', ...inputs, '--output', job, '--format', 'csv'])).code, 2);
    const detections = resultsOf(job).reduce((sum, record) => sum + record.detections.length, 0);
    const csv = readFileSync(join(job, 'results.csv'), 'utf8').trimEnd().split('\n');
    assert.deepEqual([csv[0], csv.length], ['image,class_id,label,score,x1,y1,x2,y2', detections + 1]);
    assert.equal((await cornernet(['batch', '--output', job, '--format', 'coco'])).code, 2);
    const coco = JSON.parse(readFileSync(join(job, 'results.coco.json'), 'utf8')) as { image_id: number }[];
    const { images } = JSON.parse(readFileSync(join(job, 'results.coco.images.json'), 'utf8')) as {
      images: { id: number; file_name: string; error?: object }[];
    };
    assert.equal(coco.length, detections);
    assert.deepEqual(
      images.map(({ file_name }) => file_name),
      inputs,
    );
    assert.deepEqual(
      images.map(({ id }) => id),
      [1, 2, 3, 4, 5, 6, 7],
    );
    assert.ok(images[6]?.error && !images[5]?.error);

    const detected = join(folder, 'detect.json');
    assert.equal((await cornernet(['detect', ...inputs, '--format', 'coco', '--output', detected])).code, 2);
    assert.deepEqual(coco, JSON.parse(readFileSync(detected, 'utf8')));

    // From one kind of ids to the other and back, of a job that is complete.
    const annotations = join(folder, 'annotations.json');
    const named = { images: inputs.map((path, i) => ({ id: 100 + i, file_name: basename(path) })) };
    const classes = Array.from({ length: 10 }, (_, digit) => ({ id: 50 + digit, name: String(digit) }));
    writeFileSync(annotations, JSON.stringify({ ...named, categories: classes, annotations: [] }));
    const ids = () => (JSON.parse(readFileSync(join(job, 'results.coco.json'), 'utf8')) as { image_id: number }[]).map((one) => one.image_id); // prettier-ignore
    const withNames = await cornernet(['batch', '--output', job, '--format', 'coco', '--annotations', annotations]);
    assert.equal(withNames.code, 2, withNames.stderr);
    assert.deepEqual(ids(), coco.map(({ image_id }) => image_id + 99)); // prettier-ignore
    assert.ok(!existsSync(join(job, 'results.coco.images.json')));
    assert.equal((await cornernet(['batch', '--output', job, '--format', 'coco'])).code, 2);
    assert.deepEqual(ids(), coco.map(({ image_id }) => image_id)); // prettier-ignore
    assert.ok(existsSync(join(job, 'results.coco.images.json')));

    // Of the classes that are kept alone.
    writeFileSync(annotations, JSON.stringify({ images: named.images.map((one) => ({ ...one, file_name: `all/${one.file_name}` })), categories: classes.slice(0, 3) })); // prettier-ignore
    const three = [...few, '--classes', '0,1,2', '--format', 'coco', '--annotations', annotations, '--output'];
    for (const command of ['batch', 'detect']) {
      const { code, stderr } = await cornernet([command, ...three, join(folder, `three-${command}`)]);
      assert.equal(code, 0, stderr);
    }

    // Its failures are forgotten once they are to be tried again, whatever keeps them from it: it is complete no more.
    const inVain = await cornernet(['batch', '--output', job, '--retry-errors', '--format', 'coco', '--annotations', 'none.json']);
    assert.equal(inVain.code, 1, inVain.stderr);
    const { state, failed, pending } = JSON.parse(readFileSync(join(job, 'summary.json'), 'utf8')) as BatchSummary;
    assert.deepEqual([state, failed, pending, errorsOf(job)], ['stopped', 0, 1, []]);
    assert.equal((await cornernet(['batch', '--output', job, '--format', 'coco'])).code, 2);

    // What was written before a picture was tried again with success lacks it.
    copyFileSync(photos[7] as string, inputs.at(-1) as string);
    assert.equal((await cornernet(['batch', '--output', job, '--retry-errors'])).code, 0);
    assert.equal((await cornernet(['batch', '--output', job, '--format', 'coco'])).code, 0);
    assert.ok(ids().includes(7));
  });

  it('leaves a report that reads offline in a browser', async function () {
    const bad = join(folder, 'bad <b>.jpg');
    writeFileSync(bad, 'no picture');
    assert.equal((await cornernet(['batch', ...few, bad, '--output', job])).code, 2);
    await openInBrowser(this, join(job, 'report.html'), async (page) => {
      assert.equal(await page.title(), 'CornerNet batch job');
      const headings = await page.locator('h2').allTextContents();
      for (const heading of ['Counts', 'Rate', 'Classes', 'Scores', 'Best', 'Random', 'Failed'])
        assert.ok(headings.includes(heading), heading);
      const widths = await page
        .locator('img')
        .evaluateAll((images) => images.map((image) => (image as unknown as { naturalWidth: number }).naturalWidth));
      assert.ok(widths.length >= 12 && widths.every((width) => width > 100));
      assert.ok((await page.locator('svg').count()) >= 3);
      assert.ok((await page.locator('body').innerText()).includes('bad <b>.jpg'));
    });
  });

  it('runBatch reports progress, finishes when told and aborts with the reason of the signal', async () => {
    const list = writeList(join(folder, 'list.txt'), Array<string[]>(25).fill(few).flat());
    const { code, stdout, stderr } = await runScript(`
      const { runBatch } = jobs;
      const [list, job] = ${JSON.stringify([list, job])};
      const finish = new AbortController();
      let seen = 0;
      const stopped = await runBatch({ inputs: [list], output: job }, { finish: finish.signal, onProgress: ({ done, total }) => {
        seen++;
        if (total !== 150) throw new Error('total ' + total);
        if (done > 10) finish.abort();
      } });
      const aborter = new AbortController();
      const reason = new Error('of the user');
      const aborted = await runBatch({ output: job }, { signal: aborter.signal, onProgress: () => aborter.abort(reason) }).catch((error) => error);
      const wrong = await runBatch({ output: job, shards: 3 }).catch((error) => error.code);
      const complete = await runBatch({ output: job });
      console.log(JSON.stringify({ seen: seen > 0, state: stopped.state, pending: stopped.pending > 0, aborted: aborted === reason, wrong, complete }));
    `);
    assert.deepEqual([code, stderr], [0, '']);
    const outcome = JSON.parse(stdout) as Record<string, unknown> & { complete: { state: string; done: number } };
    assert.deepEqual(
      [outcome['seen'], outcome['state'], outcome['pending'], outcome['aborted'], outcome['wrong']],
      [true, 'stopped', true, true, 'ERR_OPTION'],
    );
    assert.deepEqual([outcome.complete.state, outcome.complete.done], ['complete', 150]);
  });

  it('an abort ends a job whose process is still being started, and that process', async () => {
    const hung = join(folder, 'hung');
    const env = inChildren(
      join(folder, 'hang.cjs'),
      `fs.writeFileSync(${JSON.stringify(`${hung}.new`)}, String(process.pid));
       fs.renameSync(${JSON.stringify(`${hung}.new`)}, ${JSON.stringify(hung)});
       setInterval(() => 0, 1e6);
       process.on = () => process;`,
    );
    const { code, stdout, stderr } = await runScript(
      `
      const { existsSync, readFileSync } = require('node:fs');
      const aborter = new AbortController();
      const reason = new Error('of the user');
      const run = jobs.runBatch({ inputs: ${JSON.stringify(few)}, output: ${JSON.stringify(job)} }, { signal: aborter.signal });
      while (!existsSync(${JSON.stringify(hung)})) await new Promise((resolve) => setTimeout(resolve, 10));
      aborter.abort(reason);
      console.log(await run.catch((error) => error === reason));
      console.log(existsSync('/proc/' + readFileSync(${JSON.stringify(hung)}, 'utf8')));
    `,
      { env },
    );
    assert.deepEqual([code, stdout, stderr], [0, 'true\nfalse\n', '']);
  });

  it('shows events as JSON', async () => {
    const { stdout } = await cornernet(['batch', ...few, '--output', job, '--progress', 'json']);
    const events = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { event: string; done: number }); // prettier-ignore
    assert.deepEqual([events.at(-2)?.event, events.at(-1)?.event, events.at(-1)?.done], ['progress', 'end', 6]);
  });

  it('shows no progress when it is to be quiet', async () => {
    const shown = async (...flags: string[]) =>
      (await cornernet(['batch', ...few, '--output', job, ...flags])).stderr.match(/6 of 6 pictures.*/g);
    assert.deepEqual(await shown('--quiet'), [`6 of 6 pictures have a result, 0 failed; see ${join(job, 'report.html')}`]);
    assert.equal((await shown())?.length, 2);
  });
});
