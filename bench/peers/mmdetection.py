"""CornerNet as mmdetection itself builds it, from its own configuration, for the peers of the benchmark."""
import pathlib
import sys
import types


class Operators(types.ModuleType):
    """Stands where mmcv keeps its compiled operators: they take long to build, and this network calls none of them before decoding."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def refuse(*_args, **_kwargs):
            raise NotImplementedError(f"mmcv's operator {name} is not installed")
        return refuse


def load(file):
    """The model with a checkpoint's weights, loaded as its users load them, and its version."""
    sys.modules['mmcv._ext'] = Operators('mmcv._ext')
    import mmdet
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.runner import load_checkpoint
    register_all_modules()
    configs = pathlib.Path(mmdet.__file__).parent / '.mim' / 'configs' / 'cornernet'
    model = MODELS.build(Config.fromfile(configs / 'cornernet_hourglass104_8xb6-210e-mstest_coco.py').model)
    load_checkpoint(model, file, map_location='cpu')
    return model.eval(), f'mmdetection {mmdet.__version__}'
