// A file of COCO's, as each of the three things that it may be taken for.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readAnnotations, readDetections, readNames } from '../../lib/coco/dataset.js';
import { CornerNetError } from '../../lib/errors.js';
import { allInAFolder } from '../support/scratch.js';
import { holds } from './property.js';

let file: string;
allInAFolder('fuzz', (folder) => (file = join(folder, 'coco.json')));

const images = [
  { id: 1, file_name: 'a.jpg', width: 10, height: 20 },
  { id: 2, file_name: 'b.jpg' },
];
const categories = [{ id: 1, name: 'ant' }];
const annotations = [{ id: 7, image_id: 1, category_id: 1, bbox: [1, 2, 3, 4], area: 12, iscrowd: 0 }];
const detections = [{ image_id: 1, category_id: 1, bbox: [1, 2, 3, 4.5], score: 0.5 }];

holds(
  'coco',
  () => [{ images, categories, annotations }, detections].map((value) => Buffer.from(JSON.stringify(value))),
  async (bytes) => {
    writeFileSync(file, bytes);
    const read = await Promise.allSettled([readAnnotations(file), readNames(file), readDetections(file)]);
    const failures = read.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    const worst = failures.find((failure) => !(failure instanceof CornerNetError)) ?? (failures.length === 3 ? failures[0] : undefined);
    if (worst) throw worst;
  },
);
