// Results as text: JSON lines, CSV and COCO, from arrays and as they come.
import { strict as assert } from 'node:assert';
import { createReadStream, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { cocoResults, evaluateDetections, toCocoJson, type CocoAnnotations } from '../../lib/coco.js';
import { Detector, toCsv, toJsonLines, type DetectionResult, type FailedResult, type Outcomes } from '../../lib/index.js';
import { cocoIds } from '../../lib/writers/coco.js';
import { openResults } from '../../lib/writers/open.js';
import { fixtures } from '../environment.js';
import { refusalText } from '../support/refusal.js';
import { allInAFolder } from '../support/scratch.js';

const set = join(fixtures, 'digits', 'val');
const annotations = join(set, 'annotations.json');
const paths = ['0003.jpg', 'missing.jpg', '0004.jpg'].map((name) => join(set, name));

async function textOf(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

describe('writers', function () {
  this.timeout(60_000);
  let folder: string;
  let detector: Detector;
  let results: (DetectionResult | FailedResult)[];
  allInAFolder('writers', (made) => (folder = made));
  before(async () => {
    detector = await Detector.load(undefined, { device: 'cpu' });
    results = [];
    for await (const result of detector.detectAll(paths)) results.push(result);
  });
  after(() => detector.close());
  const found = (): DetectionResult[] => results.filter((result): result is DetectionResult => !('error' in result));

  it('JSON lines have a result or an error a picture, straight from detectAll into a file', async () => {
    const file = join(folder, 'results.jsonl');
    await writeFile(file, toJsonLines(detector.detectAll(paths)));
    const records: unknown[] = [];
    for await (const line of createInterface({ input: createReadStream(file) })) records.push(JSON.parse(line));
    const [first, missing, last] = results;
    assert.ok(missing && 'error' in missing);
    const { code, message } = missing.error;
    assert.deepEqual(records, [first, { image: paths[1], error: { code, message } }, last]);
  });

  it('CSV has a row a detection below its head, and quotes names that need it', async () => {
    const rows = (await textOf(toCsv(results))).trimEnd().split('\n');
    assert.equal(rows[0], 'image,class_id,label,score,x1,y1,x2,y2');
    assert.deepEqual(
      rows.slice(1),
      found().flatMap(({ image, detections }) =>
        detections.map(({ classId, label, score, box }) => [image, classId, label, score, ...box].join(',')),
      ),
    );
    const [first] = found();
    assert.match(await textOf(toCsv([{ ...(first as DetectionResult), image: 'a,"b".jpg' }])), /\n"a,""b"".jpg",/);
    assert.equal(await textOf(toCsv([])), `${rows[0]}\n`);
  });

  it('CSV has no formula in its names, and its numbers stay numbers', async () => {
    for (const name of ['=1+1', '+1', '-2', '@SUM(A1)', '\tx', '\r=1', '＝1']) {
      const box = [-1.5, 2, 3, 4] as const;
      const detections = [{ label: name, classId: 0, score: 0.5, box }];
      const text = await textOf(toCsv([{ image: name, width: 9, height: 9, detections }]));
      const quoted = /[\r\n]/.test(name) ? `"'${name}"` : `'${name}`;
      assert.equal(text.slice(text.indexOf('\n') + 1), `${quoted},0,${quoted},0.5,-1.5,2,3,4\n`);
    }
    const piped = { ...(found()[0] as DetectionResult), image: '-' };
    assert.match(await textOf(toCsv([piped])), /\n-,\d/);
  });

  it('COCO results take ids from annotations and can be evaluated; without, ids are positions and classId + 1', async () => {
    const content = JSON.parse(readFileSync(annotations, 'utf8')) as CocoAnnotations;
    const present = results.filter((result) => !('error' in result));
    const options = { classes: detector.classes, annotations };
    const named = await cocoResults(present, options);
    assert.deepEqual(await cocoResults(present, { ...options, annotations: content }), named);
    assert.deepEqual(JSON.parse(await textOf(toCocoJson(present, options))), named);
    const ids = new Map(content.images.map(({ file_name, id }) => [file_name, id]));
    assert.deepEqual(new Set(named.map(({ image_id }) => image_id)), new Set([ids.get('0003.jpg'), ids.get('0004.jpg')]));
    const pictures = content.images.filter(({ file_name }) => ['0003.jpg', '0004.jpg'].includes(file_name));
    const objects = content.annotations.filter(({ image_id }) => pictures.some(({ id }) => id === image_id));
    assert.ok(evaluateDetections({ ...content, images: pictures, annotations: objects }, named).stats.AP > 0.5);

    const plain = await cocoResults(results, { classes: detector.classes });
    assert.deepEqual(new Set(plain.map(({ image_id }) => image_id)), new Set([1, 3]));
    const [first] = found();
    const detection = first?.detections[0];
    assert.ok(detection);
    const [x1, y1, x2, y2] = detection.box;
    const bbox = [x1, y1, x2 - x1, y2 - y1];
    assert.deepEqual(plain[0], { image_id: 1, category_id: detection.classId + 1, bbox, score: detection.score });
    assert.equal(await textOf(toCocoJson([], { classes: detector.classes })), '[]\n');
  });

  it('refuses what is no list of results, and options that it does not know', async () => {
    const [first] = found();
    const classes = detector.classes;
    for (const wrong of [first, {}, undefined, detector.detect([]), 'a.jpg', [{}], [null]] as unknown as Outcomes[]) {
      const refused = await refusalText(cocoResults(wrong, { classes }));
      assert.match(refused, /^ERR_INPUT: (results must be an array of them|a result must have detections)/);
      for (const text of [toCsv(wrong), toJsonLines(wrong), toCocoJson(wrong, { classes })]) {
        assert.equal(await refusalText(textOf(text)), refused);
      }
    }
    for (const [options, sentence] of [
      [{ classes, annotation: 'a.json' }, /option annotation is unknown \(did you mean annotations\?\)/],
      [{ classes: '0' }, /option classes is '0'/],
      [{}, /option classes is missing/],
      [undefined, /^ERR_OPTION/],
    ] as [never, RegExp][]) {
      assert.match(await refusalText(cocoResults(results, options)), sentence);
      assert.match(await refusalText(textOf(toCocoJson(results, options))), sentence);
    }
  });

  it('says which picture or class annotations lack, and which pictures they have as one', async () => {
    const refused = (some: Outcomes, classes: readonly string[]): Promise<string> =>
      refusalText(cocoResults(some, { classes, annotations }));
    assert.match(await refused(results, detector.classes), /^ERR_INPUT: .*annotations\.json has no picture called missing\.jpg/);
    assert.match(await refused([], ['heron']), /^ERR_INPUT: .*annotations\.json has no category called heron/);
    assert.match(
      await refused([{ ...(found()[0] as DetectionResult), image: null }], detector.classes),
      /^ERR_INPUT: a picture without a name/,
    );
    const first = found()[0] as DetectionResult;
    const inFolder = (folder: string): DetectionResult => ({ ...first, image: `${folder}/0003.jpg` });
    assert.match(
      await refused([inFolder('x'), inFolder('x'), inFolder('y')], detector.classes),
      /^ERR_INPUT: x\/0003\.jpg and y\/0003\.jpg are one picture in .*annotations\.json: that with the id 4/,
    );
    const same = { images: [{ id: 1, file_name: '0003.jpg' }], categories: [...detector.classes, '3'].map((name, id) => ({ id, name })) };
    assert.match(
      await refusalText(cocoResults([], { classes: detector.classes, annotations: same })),
      /^ERR_INPUT: two categories of the annotations are called 3/,
    );
  });

  it('finds annotated pictures by the longest common end of their paths', async () => {
    const names = [
      '0001.jpg',
      './photos/a/0001.jpg',
      '/data/photos/b/0001.jpg',
      'b/0001.jpg',
      'c/0002.jpg',
      'd/0002.jpg',
      'e/f/0003.jpg',
      'c//0004.jpg',
      '0004.jpg',
      './0004.jpg',
    ];
    const images = names.map((file_name, id) => ({ id, file_name }));
    const ids = await cocoIds([], { images, categories: [{ id: 1, name: 'one' }] });
    const known = [
      '0001.jpg',
      'photos/a/0001.jpg',
      'photos/b/0001.jpg',
      './x/../b/0001.jpg',
      '/x/c/0002.jpg',
      'd/0002.jpg',
      '0003.jpg',
      '/x/c/0004.jpg',
    ];
    assert.deepEqual(
      known.map((name) => ids.imageId(name, 0)),
      [0, 1, 2, 3, 4, 5, 6, 7],
    );
    assert.equal((await cocoIds([], { images, categories: [{ id: 1, name: 'one' }] })).imageId('x/0001.jpg', 0), 0);
    assert.throws(() => ids.imageId('0002.jpg', 0), {
      code: 'ERR_INPUT',
      message: /^0002\.jpg may be more than one picture in the annotations: that with the id 4 and that with the id 5/,
    });
    assert.throws(() => ids.imageId('x/0004.jpg', 0), { code: 'ERR_INPUT', message: /may be more than one picture .* id 8 .* id 9/ });
    assert.throws(() => ids.imageId('a/0005.jpg', 0), { code: 'ERR_INPUT', message: /no picture called 0005\.jpg/ });
  });

  it('needs no category for a class that is not kept', async () => {
    const categories = [{ id: 7, name: '1' }];
    const file = join(folder, 'one.json');
    await writeFile(file, JSON.stringify({ images: [{ id: 1, file_name: '0003.jpg' }], categories }));
    const kept = await openResults('coco', join(folder, 'kept.json'), { classes: ['0', '1', '2'], keep: [1], annotations: file });
    await kept.discard();
    await assert.rejects(openResults('coco', join(folder, 'all.json'), { classes: ['0', '1', '2'], keep: ['0', 1], annotations: file }), {
      code: 'ERR_INPUT',
      message: /has no category called 0/,
    });
  });
});
