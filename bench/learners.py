"""Training as others do it: functions of no arguments that make one step, and the version of what runs it."""
import runners
import torch

OBJECTS = [(0.1, 0.2, 0.5, 0.7), (0.3, 0.2, 0.7, 0.7), (0.5, 0.2, 0.9, 0.7)]  # as lib/bench/train.ts has them


def mmdetection(size, batch):
    """mmdetection's own model, losses and optimizer, by its configuration."""
    mmdet, model, config = runners.mmdetection_model()
    from mmdet.structures import DetDataSample
    from mmengine.optim import build_optim_wrapper
    from mmengine.structures import InstanceData
    model.train()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    x = torch.randn(batch, 3, size, size)
    shape = (size, size)
    samples = []
    for _ in range(batch):
        sample = DetDataSample(metainfo={'img_shape': shape, 'batch_input_shape': shape, 'pad_shape': shape})
        sample.gt_instances = InstanceData(bboxes=size * torch.tensor(OBJECTS), labels=torch.arange(len(OBJECTS)))
        samples.append(sample)

    def step():
        total, _ = model.parse_losses(model.loss(x, samples))
        wrapper.update_params(total)
    return step, f'mmdetection {mmdet.__version__} (torch {torch.__version__})'


def make(name, size, batch):
    return {'mmdetection': mmdetection}[name](size, batch)
