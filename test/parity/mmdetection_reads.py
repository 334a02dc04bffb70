"""What mmdetection 3.x makes of a checkpoint of ours: mmdetection_reads.py CHECKPOINT PICTURE prints classes, and the heads in the references' form."""
import json
import sys
from unittest import mock

import numpy as np
import torch

# mmcv's compiled operators, which mmdetection imports, take long to build: init_detector calls none, and the network none before decoding.
sys.modules['mmcv._ext'] = mock.MagicMock()
from mmdet.apis import init_detector  # noqa: E402
del sys.modules['mmcv._ext']
from mmcv.transforms import Compose
from mmengine.config import Config

checkpoint, picture = sys.argv[1:]
text = torch.load(checkpoint, map_location='cpu', weights_only=True)['meta']['config']
model = init_detector(Config.fromstring(text, '.py'), checkpoint, device='cpu')
packed = Compose(model.cfg.test_dataloader.dataset.pipeline)({'img_path': picture, 'img_id': 0})
inputs = model.data_preprocessor({'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}, False)['inputs']
with torch.no_grad():
    levels = model(inputs, mode='tensor')
drawn = np.random.default_rng(0)
heads = {}
for name, level in zip(('tl_heat', 'br_heat', 'tl_emb', 'br_emb', 'tl_off', 'br_off'), levels):
    values = level[-1][0].numpy()
    index = drawn.integers(0, values.size, 200)
    heads[name] = {'shape': values.shape, 'mean': float(values.mean()), 'std': float(values.std()), 'index': index.tolist(),
                   'value': values.ravel()[index].tolist()}
print(json.dumps({'classes': model.dataset_meta['classes'], 'heads': heads}))
