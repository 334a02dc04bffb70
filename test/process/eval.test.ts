// cornernet eval as its users meet it: formats, warnings, errors, the page.
import { strict as assert } from 'node:assert';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CocoAnnotations, CocoDetection, CocoStats } from '../../lib/coco.js';
import { fixtures } from '../environment.js';
import { openInBrowser } from '../support/browser.js';
import { cornernet } from '../support/child.js';
import { allInAFolder } from '../support/scratch.js';

const set = join(fixtures, 'digits', 'val');
const { stats: expected } = JSON.parse(readFileSync(join(fixtures, 'digits', 'expected_ap.json'), 'utf8')) as {
  stats: { plain: CocoStats };
};

/** Whether the process has loaded the addon, as Linux tells: it is detecting then. */
function isDetecting(pid: number | undefined): boolean {
  try {
    return readFileSync(`/proc/${pid ?? 0}/maps`, 'utf8').includes('libtorch_cpu');
  } catch {
    return false; // it is not there yet
  }
}

describe('cornernet eval', function () {
  this.timeout(300_000);
  let folder: string;
  /** The first pictures of the set, so that a test takes seconds. */
  let some: string;
  let annotations: CocoAnnotations;
  allInAFolder('eval', (made) => {
    folder = made;
    const all = JSON.parse(readFileSync(join(set, 'annotations.json'), 'utf8')) as CocoAnnotations;
    const images = all.images.slice(0, 12);
    annotations = { ...all, images, annotations: all.annotations.filter(({ image_id }) => images.some(({ id }) => id === image_id)) };
    some = write('some.json', annotations);
  });

  function write(name: string, value: unknown): string {
    const file = join(folder, name);
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return file;
  }

  it("the whole set in fp32 has mmdetection's AP", async () => {
    const { code, stdout, stderr } = await cornernet([
      ...['eval', '--images', set, '--annotations', join(set, 'annotations.json'), '--precision', 'fp32', '--format', 'json'],
    ]);
    assert.equal(code, 0, stderr);
    const { stats, perClassAP } = JSON.parse(stdout) as { stats: CocoStats; perClassAP: Record<string, number> };
    assert.equal(Object.keys(perClassAP).length, 10);
    // 0.3 points: JPEG decoders differ by a level or two a pixel, which moves boxes near the overlap thresholds across them.
    for (const name of ['AP', 'AP50', 'AP75'] as const) {
      assert.ok(Math.abs(stats[name] - expected.plain[name]) <= 0.003, `${name} ${stats[name]} against ${expected.plain[name]}`);
    }
    assert.equal(stats.APl, -1);
  });

  it('saves detections, evaluates them again to the same, and shows all in a page', async function () {
    const [kept, page] = [join(folder, 'kept.json'), join(folder, 'page.html')];
    const first = await cornernet([
      'eval',
      '--images',
      set,
      '--annotations',
      some,
      '--save-detections',
      kept,
      '--html',
      page,
      '--format',
      'json',
    ]);
    assert.equal(first.code, 0, first.stderr);
    const again = await cornernet([
      'eval',
      '--annotations',
      some,
      '--detections',
      kept,
      '--format',
      'json',
      '--output',
      join(folder, 'again.json'),
    ]);
    assert.deepEqual([again.code, again.stdout], [0, '']);
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'again.json'), 'utf8')), JSON.parse(first.stdout));
    const table = await cornernet(['eval', '--annotations', some, '--detections', kept]);
    assert.match(table.stdout, /AP50/);
    const sure = join(folder, 'sure.json');
    const least = await cornernet(['eval', '--annotations', some, '--detections', kept, '--score-threshold', '0.3', '--save-detections', sure]); // prettier-ignore
    assert.equal(least.code, 0, least.stderr);
    const all = JSON.parse(readFileSync(kept, 'utf8')) as CocoDetection[];
    const left = all.filter(({ score }) => score >= 0.3);
    assert.ok(left.length > 0 && left.length < all.length);
    assert.deepEqual(JSON.parse(readFileSync(sure, 'utf8')), left);
    await openInBrowser(this, page, async (tab) => {
      const headings = await tab.locator('h2').allTextContents();
      const wanted = ['Average precision and recall', 'Precision over recall', 'Classes', 'What was taken for what', 'Worst pictures'];
      assert.deepEqual(headings, wanted);
      assert.ok((await tab.locator('svg path').count()) > 3);
      const widths = await tab
        .locator('img')
        .evaluateAll((images) => images.map((image) => (image as unknown as { naturalWidth: number }).naturalWidth));
      assert.ok(widths.length > 0 && widths.every((width) => width > 100));
    });
  });

  it('says in its page too which pictures could not be read', async function () {
    const [broken, page] = [join(folder, 'broken'), join(folder, 'broken.html')];
    mkdirSync(broken);
    const images = annotations.images.slice(0, 2);
    copyFileSync(join(set, images[0]?.file_name ?? ''), join(broken, images[0]?.file_name ?? ''));
    writeFileSync(join(broken, images[1]?.file_name ?? ''), 'no picture');
    const two = write('two.json', { ...annotations, images, annotations: annotations.annotations.filter(({ image_id }) => images.some(({ id }) => id === image_id)) }); // prettier-ignore
    const { code, stderr } = await cornernet(['eval', '--images', broken, '--annotations', two, '--html', page]);
    assert.equal(code, 0, stderr);
    await openInBrowser(this, page, async (tab) => {
      const text = (await tab.textContent('body')) ?? '';
      assert.match(text, /1 pictures could not be read and count as empty/);
      assert.match(text, /\d+ missed, 0 wrong \(it can't be shown: .*can't be read/);
    });
  });

  it('says which annotated categories are not detected', async () => {
    const categories = [...annotations.categories.map((one) => ({ ...one, name: one.name === '7' ? 'seven' : one.name })), { id: 0, name: 'none of these' }]; // prettier-ignore
    const other = write('seven.json', { ...annotations, categories });
    const said = async (...flags: string[]): Promise<string> => {
      const { code, stderr } = await cornernet(['eval', '--images', set, '--annotations', other, '--quiet', ...flags]);
      assert.equal(code, 0, stderr);
      return stderr;
    };
    assert.match(await said(), /^warning: 1 annotated categories are not detected, and their objects count as missed: seven$/m);
    assert.match(await said('--classes', '0,1,2,3,4,5,6,8'), /^warning: 2 annotated categories .*: seven, 9$/m);
  });

  it('compares precisions, flip and the published AP', async () => {
    const { code, stdout, stderr } = await cornernet(['eval', '--images', set, '--annotations', some, '--reference', '--format', 'json']);
    assert.equal(code, 0, stderr);
    const { published, rows } = JSON.parse(stdout) as { published: object; rows: { precision: string; flip: boolean; stats: CocoStats }[] };
    assert.deepEqual(published, { ap: 0.775, flip: false });
    assert.deepEqual(rows.slice(0, 2).map(({ precision, flip }) => [precision, flip]), [['fp32', true], ['fp32', false]]); // prettier-ignore
    assert.ok(rows.every(({ stats }) => stats.AP > 0.3));
  });

  it('says what is wrong, or counts it', async () => {
    const detections = [{ image_id: 1, category_id: 1, bbox: [0, 0, 10, 10], score: 0.5 }];
    const one = write('one.json', detections);
    const refusals: [string[], RegExp][] = [
      [['--annotations', join(folder, 'no.json'), '--detections', one], /^ERR_INPUT: .*no\.json can't be read as JSON: ENOENT/],
      [['--annotations', write('broken.json', '{"images": ['), '--detections', one], /^ERR_INPUT: .*broken\.json can't be read as JSON/],
      [['--annotations', one, '--detections', one], /^ERR_INPUT: .*one\.json: the whole is \[.*expected object, received array/],
      [
        ['--annotations', some, '--detections', write('text.json', [{ ...detections[0], score: 'high' }])],
        /text\.json: 0\.score is 'high'/,
      ],
      [['--annotations', some, '--detections', write('negative.json', [{ ...detections[0], bbox: [0, 0, -1, 4] }])], /0\.bbox\.2 is -1/],
      [
        [
          '--annotations',
          write('twice.json', { ...annotations, images: [...annotations.images, annotations.images[0]] }),
          '--detections',
          one,
        ],
        /two images have the id/,
      ],
      [['--annotations', some, '--images', folder], /^ERR_INPUT: 12 of 12 annotated pictures are not in .*, the first: 0000\.jpg/],
      [['--annotations', some], /^ERR_OPTION: name the pictures/],
      ...[['weights', 'digits'], ['maxPerImage', '1'], ['flip'], ['tiles', '64']].map(([option = '', ...value]): [string[], RegExp] => [
        ['--annotations', some, '--detections', one, `--${option.replace('P', '-p').replace('I', '-i')}`, ...value],
        new RegExp(`^ERR_OPTION: --detections .*: leave option ${option} out`),
      ]),
      [['--annotations', some, '--detections', one, '--score-threshold', '2'], /^ERR_OPTION: option scoreThreshold is 2/],
      [['--annotations', some, '--images', set, '--reference', '--device', 'cuda:63'], /fp16 is left out[^]*^ERR_DEVICE: /m],
      ...[['--detections', one], ['--html', 'p.html'], ['--save-detections', 'd.json'], ['--flip'], ['--no-flip']].map(
        (left): [string[], RegExp] => [
          ['--annotations', some, '--images', set, '--reference', ...left],
          new RegExp(`^ERR_OPTION: --reference .*: leave ${left[0] ?? ''} out`),
        ],
      ),
      [
        ['--annotations', write('other.json', { ...annotations, categories: [{ id: 1, name: 'cat' }] }), '--images', set],
        /^ERR_INPUT: the annotations have none of the weights' classes/,
      ],
      [
        [
          '--annotations',
          write('same.json', { ...annotations, categories: [...annotations.categories, { id: 99, name: '3' }] }),
          '--images',
          set,
        ],
        /^ERR_INPUT: two categories of the annotations are called 3/,
      ],
    ];
    for (const [flags, sentence] of refusals) {
      const { code, stdout, stderr } = await cornernet(['eval', ...flags]);
      assert.deepEqual([code, stdout], [1, ''], stderr);
      assert.match(stderr, sentence);
    }
    const odd = [
      { ...detections[0], image_id: 77_777 },
      { ...detections[0], category_id: 99 },
      { ...detections[0], bbox: [-50, 0, 20, 20] },
    ];
    const twice = write('ids.json', { ...annotations, annotations: [...annotations.annotations, ...annotations.annotations.slice(0, 2)] });
    const { code, stderr } = await cornernet(['eval', '--annotations', twice, '--detections', write('odd.json', odd)]);
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /warning: 1 detections are of pictures that the annotations do not have and are left out \(the first: picture 77777\)/,
    );
    assert.match(
      stderr,
      /warning: 1 detections are of categories that the annotations do not have and are left out \(the first: category 99\)/,
    );
    assert.match(stderr, /warning: 1 detections reach outside their pictures/);
    assert.match(stderr, /warning: 2 annotations have the id of an earlier one; pycocotools takes the last one .* \(the first: id 1\)/);
  });

  it('Ctrl-C and SIGTERM end it with 130, and nothing is written', async () => {
    const kept = join(folder, 'stopped');
    mkdirSync(kept);
    for (const stop of ['SIGINT', 'SIGTERM'] as const) {
      // The whole set takes many seconds.
      const args = ['--images', set, '--annotations', join(set, 'annotations.json'), '--html', join(kept, 'page.html')];
      const { code, signal, stdout, stderr } = await cornernet(['eval', ...args], {
        during: (child) => {
          const timer = setInterval(() => {
            if (!isDetecting(child.pid)) return;
            clearInterval(timer);
            child.kill(stop);
          }, 20);
          child.once('close', () => clearInterval(timer));
        },
      });
      assert.deepEqual([code, signal, stdout], [130, null, '']);
      assert.equal(stderr, 'interrupted: nothing was written\n');
    }
    assert.deepEqual(readdirSync(kept), []);
  });

  it('outputs that can not be written are refused before the annotations are read', async () => {
    for (const flag of ['--output', '--html', '--save-detections']) {
      const { code, stderr } = await cornernet(['eval', '--annotations', 'none.json', '--detections', 'none.json', flag, folder]);
      assert.equal(code, 1);
      assert.match(stderr, /^ERR_WRITE: .* can't be written: it is a folder/);
    }
  });
});
