"""pycocotools_eval.py ANNOTATIONS DETECTIONS: reads both, evaluates, and prints the seconds of each and the process's peak memory as JSON."""
import contextlib
import io
import json
import resource
import sys
import time

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

with contextlib.redirect_stdout(io.StringIO()):
    start = time.perf_counter()
    truth = COCO(sys.argv[1])
    found = truth.loadRes(sys.argv[2])
    read = time.perf_counter()
    evaluation = COCOeval(truth, found, 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    end = time.perf_counter()
print(json.dumps({
    'read': read - start, 'evaluate': end - read, 'peakBytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    'AP': float(evaluation.stats[0]),
}))
