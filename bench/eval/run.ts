// npx tsx bench/eval/run.ts [--rounds N] [--pictures N]: COCO's evaluation of drawn pictures with 100 detections each, against pycocotools.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { median } from '../../lib/bench/statistics.js';
import { cocoCategoryIds, cocoClasses } from '../../lib/coco.js';
import { pythonWithTorch, runQuietly } from '../../test/environment.js';
import { random } from '../../test/support/batch.js';

interface Round {
  readonly read: number;
  readonly evaluate: number;
  readonly peakBytes: number;
  readonly AP: number;
}

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

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, pictures: { type: 'string', default: '5000' } } });
  const python = await pythonWithTorch();
  const folder = mkdtempSync(join(tmpdir(), 'cornernet-bench-'));
  try {
    const files = [join(folder, 'annotations.json'), join(folder, 'detections.json')] as const;
    const { annotations, detections } = draw(Number(values.pictures));
    writeFileSync(files[0], JSON.stringify(annotations));
    writeFileSync(files[1], JSON.stringify(detections));
    const runners = {
      ours: () => runQuietly(process.execPath, ['--import', 'tsx', join(__dirname, 'our-eval.ts'), ...files]),
      pycocotools: () => runQuietly(python, [join(__dirname, 'pycocotools_eval.py'), ...files]),
    };
    const rounds: Record<keyof typeof runners, Round[]> = { ours: [], pycocotools: [] };
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const name of ['ours', 'pycocotools'] as const) rounds[name].push(JSON.parse(await runners[name]()) as Round);
    }
    console.log(
      `Inside the clock: reading and checking both files; evaluating. Outside: starting the process. ${values.pictures} pictures with ` +
        `${detectionsAPicture} detections each, 80 classes, ${values.rounds} rounds in turns, medians.`,
    );
    for (const name of ['ours', 'pycocotools'] as const) {
      const of = (key: keyof Round): number => median(rounds[name].map((round) => round[key]));
      const seconds = `read ${of('read').toFixed(2)} s, evaluate ${of('evaluate').toFixed(2)} s`;
      console.log(`${name.padEnd(12)} ${seconds}, peak ${(of('peakBytes') / 1e6).toFixed(0)} MB, AP ${of('AP').toFixed(6)}`);
    }
    const whole = (name: 'ours' | 'pycocotools'): number => median(rounds[name].map(({ read, evaluate }) => read + evaluate));
    console.log(`pycocotools takes ${(whole('pycocotools') / whole('ours')).toFixed(1)} times as long`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();
