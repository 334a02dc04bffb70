"""Many small evaluations by pycocotools: coco_cases.py CASES, a JSON array of { annotations, detections }, prints what becomes of each."""
import contextlib
import io
import json
import sys

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

outcomes = []
for case in json.load(open(sys.argv[1])):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = case['annotations']
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(case['detections']), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval['precision']
    per_class = {}
    for index, category in enumerate(evaluation.params.catIds):
        counted = precision[:, :, index, 0, 2]
        counted = counted[counted > -1]
        per_class[str(category)] = float(numpy.mean(counted)) if counted.size else -1.0
    outcomes.append({'stats': [float(number) for number in evaluation.stats], 'perClassAP': per_class})
print(json.dumps(outcomes))
