// npx tsx bench/eval.ts [--pictures N]: COCO's evaluation of drawn pictures with 100 detections each, beside pycocotools.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cocoCategoryIds, cocoClasses } from '../lib/coco.js';
import { pythonWithTorch } from '../test/environment.js';
import { random } from '../test/support/batch.js';
import { newEachTurn } from './child.js';
import { run, wholeNumber } from './harness.js';

const detectionsAPicture = 100;
const objectsAPicture = 7; // about COCO's

function draw(pictures: number): { annotations: object; detections: object[] } {
  const next = random(3);
  const anyClass = (): number => cocoCategoryIds[Math.floor(next() * cocoCategoryIds.length)] ?? 1;
  const images = Array.from({ length: pictures }, (_, id) => ({ id: id + 1, file_name: `${id}.jpg`, width: 640, height: 480 }));
  const annotations: object[] = [];
  const detections: object[] = [];
  for (const { id: image_id } of images) {
    for (let i = 0; i < detectionsAPicture; i++) {
      const bbox = [next() * 500, next() * 350, 5 + next() * 130, 5 + next() * 130] as const;
      const category_id = anyClass();
      if (i < objectsAPicture)
        annotations.push({ id: annotations.length + 1, image_id, category_id, bbox, area: bbox[2] * bbox[3], iscrowd: 0 });
      detections.push({ image_id, category_id, bbox: bbox.map((side) => side + next() * 6), score: next() });
    }
  }
  const categories = cocoClasses.map((name, i) => ({ id: cocoCategoryIds[i], name }));
  return { annotations: { images, annotations, categories }, detections };
}

void run({
  kind: 'eval',
  insideTheClock:
    'reading and checking both files; evaluating. Outside: starting the process. Peak memory: above what the process has when it begins to read.',
  options: { pictures: '5000' },
  rounds: 5,
  warmUpRounds: 0,
  prepare: async (values, folder) => {
    const pictures = wholeNumber('pictures', values.pictures);
    const files = { annotations: join(folder, 'annotations.json'), detections: join(folder, 'detections.json') };
    const drawn = draw(pictures);
    for (const name of ['annotations', 'detections'] as const) writeFileSync(files[name], JSON.stringify(drawn[name]));
    const python = await pythonWithTorch();
    return {
      cases: {
        eval: () => ({
          setting: `${pictures} pictures with ${detectionsAPicture} detections each, 80 classes`,
          candidates: { ours: () => newEachTurn('evaluate', files), pycocotools: () => newEachTurn('evaluate', files, python) },
          against: (['speed', 'memory'] as const).map((what) => ({ what, ours: 'ours', peers: ['pycocotools'] })),
        }),
      },
    };
  },
});
