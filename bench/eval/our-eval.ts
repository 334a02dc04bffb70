// our-eval ANNOTATIONS DETECTIONS: as pycocotools_eval.py, by us.
import { readAnnotations, readDetections } from '../../lib/coco/dataset.js';
import { evaluateChecked } from '../../lib/coco/evaluate.js';

async function main(annotations: string, detections: string): Promise<void> {
  const start = performance.now();
  const truth = await readAnnotations(annotations);
  const found = await readDetections(detections);
  const read = performance.now();
  const { stats } = evaluateChecked(truth, found);
  const end = performance.now();
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ read: (read - start) / 1000, evaluate: (end - read) / 1000, peakBytes, AP: stats.AP }));
}

void main(process.argv[2] ?? '', process.argv[3] ?? '');
