// Drawings of results: their forms, and where their labels go.
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import sharp from 'sharp';

import { Detector, draw, type DetectionResult } from '../../lib/index.js';
import { renderHeatmaps } from '../../lib/render/heatmaps.js';
import { mostLabels, overlap, placeLabels, type Labels, type Rectangle } from '../../lib/render/labels.js';
import { readAnnotations } from '../../lib/coco/dataset.js';
import { fixtures, root } from '../environment.js';
import { refusalText } from '../support/refusal.js';
import { allInAFolder } from '../support/scratch.js';

const scene = join(root, 'pictures', 'scene1.jpg');
const strip = { data: new Uint8Array(3000), width: 1, height: 1000, channels: 3 } as const;

function assertApart({ places }: Labels, canvas: { width: number; height: number }): void {
  const placed = places.flatMap((place) => place ?? []);
  for (const [i, place] of placed.entries()) {
    assert.ok(place.left >= 0 && place.top >= 0, JSON.stringify(place));
    assert.ok(place.left + place.width <= canvas.width && place.top + place.height <= canvas.height, JSON.stringify(place));
    for (const other of placed.slice(i + 1)) assert.ok(!overlap(place, other), JSON.stringify([place, other]));
  }
}

describe('drawing', function () {
  this.timeout(60_000);
  let folder: string;
  let detector: Detector;
  let result: DetectionResult;
  allInAFolder('draw', (made) => (folder = made));
  before(async () => {
    detector = await Detector.load(undefined, { device: 'cpu' });
    result = await detector.detect(scene);
    assert.ok(result.detections.length > 2);
  });
  after(() => detector.close());

  it('draws boxes in the colours of their classes, as JPEG or PNG, and writes the same to a file', async () => {
    const jpeg = await draw(scene, result);
    assert.equal((await sharp(jpeg).metadata()).format, 'jpeg');
    const file = join(folder, 'new', 'drawn.PNG');
    const png = await draw(readFileSync(scene), result, { file, scale: 2 });
    assert.deepEqual(readFileSync(file), png);
    assert.deepEqual(readdirSync(join(folder, 'new')), ['drawn.PNG']);
    const { format, width, height } = await sharp(png).metadata();
    assert.deepEqual([format, width, height], ['png', 2 * result.width, 2 * result.height]);
    // Half-way down the surest box's left side its colour is on the picture.
    const [first] = result.detections;
    const [x1, y1, , y2] = first?.box ?? [0, 0, 0, 0];
    const at = { left: Math.round(2 * x1), top: Math.round(y1 + y2), width: 1, height: 1 };
    const pixel = async (image: Buffer): Promise<Buffer> => sharp(image).extract(at).raw().toBuffer();
    const plain = await draw(scene, { ...result, detections: [] }, { format: 'png', scale: 2 });
    assert.notDeepEqual(await pixel(png), await pixel(plain));
  });

  // docs/demo.jpg: cornernet detect test/fixtures/digits/val/0076.jpg --draw docs
  it("in the README's picture every digit is found and nothing else", async () => {
    const set = join(fixtures, 'digits', 'val');
    const { images, annotations, categories } = await readAnnotations(join(set, 'annotations.json'));
    const id = images.find(({ file_name }) => file_name === '0076.jpg')?.id;
    const objects = annotations.filter(({ image_id }) => image_id === id);
    const { detections } = await detector.detect(join(set, '0076.jpg'));
    assert.deepEqual([objects.length, detections.length], [8, 8]);
    for (const {
      bbox: [x, y, width, height],
      category_id,
    } of objects) {
      // prettier-ignore
      const name = categories.find((category) => category.id === category_id)?.name;
      const near = detections.filter(({ box: [x1, y1, x2, y2] }) =>
        [x1 - x, y1 - y, x2 - x - width, y2 - y - height].every((off) => Math.abs(off) < 8),
      );
      assert.deepEqual(near.map(({ label }) => label), [name]); // prettier-ignore
    }
  });

  it('refuses what it can not draw, and says why', async () => {
    assert.match(
      await refusalText(draw(scene, result, { formt: 'png' } as object)),
      /^ERR_OPTION: option formt is unknown \(did you mean format/,
    );
    assert.match(await refusalText(draw(join(folder, 'none.jpg'), result)), /^ERR_INPUT: .*none\.jpg/);
    assert.match(
      await refusalText(draw(scene, result, { file: join(folder, 'x.webp'), format: 'png' })),
      /^ERR_OPTION: option file is '.*: expected a name that ends in \.jpg, \.jpeg or \.png/,
    );
    const { width, height, detections } = result;
    const [first, ...others] = detections;
    for (const [wrong, sentence] of [
      [null, /the whole is null/],
      [{ width, height }, /detections is missing/],
      [{ width, height, detections: [...others, { ...first, score: '0.5' }] }, /detections\.\d+\.score is '0\.5'/],
      [{ width, height, detections: [{ ...first, box: [1, 2, NaN, 4] }] }, /detections\.0\.box\.2 is NaN/],
      [{ image: scene, error: new Error('failed') }, /width is missing/],
    ] as [never, RegExp][]) {
      assert.match(await refusalText(draw(scene, wrong)), new RegExp(`^ERR_INPUT: the result: ${sentence.source}`));
    }
    assert.match(
      await refusalText(draw(scene, result, { scale: 1000 })),
      /^ERR_TOO_LARGE: .*at scale 1000 has 360000x480000 pixels, more than the 50000000 that maxPixels allows/,
    );
    assert.match(
      await refusalText(draw(strip, { ...strip, detections: [] }, { scale: 66 })),
      /^ERR_TOO_LARGE: .*66x66000 pixels, and a JPEG at most 65535 a side/,
    );
    assert.match(await refusalText(draw(scene, result, { file: join(scene, 'x.jpg') })), /^ERR_WRITE: .*x\.jpg can't be written/);
    assert.match(
      await refusalText(draw(new Readable({ read: () => undefined }), result, { timeout: 0.05 })),
      /^ERR_INPUT: the picture's stream takes longer than the 0.05 s/,
    );
    assert.match(
      await refusalText(draw(await sharp(scene).resize(100, 100).toBuffer(), result)),
      /^ERR_INPUT: .*100x100 pixels, the result is of a picture of 360x480/,
    );
  });

  it('keeps to maxPixels where it enlarges by itself, and PNGs may be longer than a JPEG', async () => {
    const picture = { data: new Uint8Array(300), width: 10, height: 10, channels: 3 } as const;
    const { width, height } = await sharp(await draw(picture, { width: 10, height: 10, detections: [] }, { maxPixels: 1000 })).metadata();
    assert.deepEqual([width, height], [30, 30]);
    const long = await draw(strip, { ...strip, detections: [] }, { scale: 66, format: 'png' });
    assert.equal((await sharp(long).metadata()).height, 66_000);
  });

  it('labels hide no other and stay in the picture, however crowded it is', async () => {
    const { width, height, detections } = await detector.detect(scene, { scoreThreshold: 0 });
    assert.equal(detections.length, 100);
    const canvas = { width: 2 * width, height: 2 * height };
    const labelled = detections.map(({ label, score, box: [x1, y1, x2, y2] }) => ({
      text: `${label} ${score.toFixed(2)}`,
      frame: { left: 2 * x1, top: 2 * y1, width: 2 * (x2 - x1), height: 2 * (y2 - y1) },
    }));
    const labels = placeLabels(labelled, canvas, 20);
    assertApart(labels, canvas);
    assert.ok(!labels.places.includes(undefined), 'there is room for all');
    // The surest has its place at its box's corner.
    const [place, frame] = [labels.places[0] as Rectangle, labelled[0]?.frame as Rectangle];
    assert.ok(Math.abs(place.left - frame.left) < 1 && Math.abs(place.top + place.height - frame.top) < 1);
  });

  it('a hundred boxes in one place get smaller letters, and leave out what finds no room', () => {
    const frame = { left: 30, top: 30, width: 5, height: 5 };
    const crowd = Array.from({ length: 100 }, () => ({ text: '7 0.99', frame }));
    const small = placeLabels(crowd, { width: 300, height: 300 }, 20);
    assertApart(small, { width: 300, height: 300 });
    assert.ok(small.fontPx < 20);
    const tiny = placeLabels(crowd, { width: 64, height: 64 }, 20);
    assertApart(tiny, { width: 64, height: 64 });
    assert.ok(tiny.places[0] && tiny.places.includes(undefined));
    assert.deepEqual(placeLabels(crowd.slice(0, 1), { width: 5, height: 5 }, 20).places, [undefined]);
  });

  it('labels the first boxes alone where there are thousands', async () => {
    const [width, height] = [4000, 3000];
    const box = [2000, 1500, 2050, 1550] as const;
    const detections = Array.from({ length: 3000 }, () => ({ label: 'person', classId: 0, score: 0.99, box }));
    const labelled = detections.map(() => ({ text: 'person 0.99', frame: { left: 2000, top: 1500, width: 50, height: 50 } }));
    const labels = placeLabels(labelled, { width, height }, 89);
    assertApart(labels, { width, height });
    assert.equal(labels.places.filter((place) => place !== undefined).length, mostLabels);
    const picture = { data: new Uint8Array(3 * width * height), width, height, channels: 3 } as const;
    assert.equal((await sharp(await draw(picture, { width, height, detections })).metadata()).width, width);
  });

  for (const [width, height] of [
    [1, 1],
    [3, 40],
    [40, 3],
    [2000, 1],
  ] as const) {
    it(`draws boxes and heatmaps of a picture of ${width}x${height} pixels`, async () => {
      const picture = { data: new Uint8Array(3 * width * height).fill(90), width, height, channels: 3 } as const;
      const detections = [{ label: '7', classId: 7, score: 0.9, box: [0, 0, width, height] as const }];
      const scale = Math.max(1, Math.ceil(640 / Math.max(width, height)));
      for (const drawn of [
        await draw(picture, { width, height, detections }),
        await (await renderHeatmaps(picture, await detector.heads(picture), detections, { maxPixels: 1e6 })).toBuffer(),
      ]) {
        const made = await sharp(drawn).metadata();
        assert.deepEqual([made.width, made.height], [width * scale, height * scale]);
      }
    });
  }
});
