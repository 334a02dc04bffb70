"""Others as candidates: theirs.py detect|evaluate|load|train SETTINGS.

Ready, it prints a line of JSON; each line in is a turn, answered with its seconds.
"""
import json
import sys
import time


def serve(ready, work):
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        more = work()
        print(json.dumps({'seconds': time.perf_counter() - start, **(more or {})}), flush=True)


def evaluate(annotations, detections):
    from importlib.metadata import version

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def work():
        start = time.perf_counter()
        truth = COCO(annotations)
        found = truth.loadRes(detections)
        read = time.perf_counter()
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return {'readSeconds': read - start, 'evaluateSeconds': time.perf_counter() - read, 'AP': float(evaluation.stats[0])}
    serve({'version': f"pycocotools {version('pycocotools')}"}, work)


def load(file, initialised):
    """The model is made before the clock starts: `initialised` has written its parameters once, as a constructor does, else it meets untouched memory."""
    import torch
    model = torch.nn.Module()
    for name, tensor in torch.load(file, map_location='meta', weights_only=True)['state_dict'].items():
        *path, leaf = name.split('.')
        module = model
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        own = torch.empty(tensor.shape, dtype=tensor.dtype)
        module.register_buffer(leaf, own.fill_(1) if initialised else own)

    def work():
        model.load_state_dict(torch.load(file, mmap=True, weights_only=True)['state_dict'])
    serve({'version': f'torch {torch.__version__}'}, work)


def detect(runner, device, **settings):
    """The network alone: from the normalised input in the device's memory to the finished maps, no reading of pictures and no decoding."""
    import torch

    import runners
    forward, version = runners.make(runner, device, **settings)
    heat = forward()[0][0].float().cpu().contiguous().flatten()
    sample = heat[:: max(1, len(heat) // 1000)][:1000]

    def work():
        forward()
        if device.startswith('cuda'):
            torch.cuda.synchronize()
    serve({'version': version, 'sample': sample.tolist()}, work)


def train(runner, size, batch, threads, **_ours):
    """A step as mmengine's loop makes it, from the normalised input and the boxes in memory: losses, backward, clipping, Adam."""
    import torch

    import learners
    torch.set_num_threads(threads)
    step, version = learners.make(runner, size, batch)
    step()
    serve({'version': version}, step)


{'detect': detect, 'evaluate': evaluate, 'load': load, 'train': train}[sys.argv[1]](**json.loads(sys.argv[2]))
