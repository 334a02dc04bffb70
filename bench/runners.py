"""The network as others run it: functions of no arguments that make one forward and return the maps, and the version of what runs it."""
import pathlib
import sys
import tempfile
from unittest import mock

import network
import numpy as np
import torch


def mmdetection_model():
    """mmdetection, its model as it builds it from its own configuration, and that configuration."""
    sys.modules['mmcv._ext'] = mock.MagicMock()  # mmcv's compiled operators take long to build, and the network calls none before decoding
    import mmdet
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    register_all_modules()
    configs = pathlib.Path(mmdet.__file__).parent / '.mim' / 'configs' / 'cornernet'
    config = Config.fromfile(configs / 'cornernet_hourglass104_8xb6-210e-mstest_coco.py')
    return mmdet, MODELS.build(config.model), config


def mmdetection(_name, file, x, device, _threads):
    """As its users load it."""
    mmdet, model, _ = mmdetection_model()
    from mmengine.runner import load_checkpoint
    load_checkpoint(model, file, map_location='cpu')
    model, x = model.eval().to(device), x.to(device)

    def forward():
        with torch.no_grad():
            return [maps[-1] for maps in model(x, mode='tensor')]  # of each of the two levels, which both were computed
    return forward, f'mmdetection {mmdet.__version__} (torch {torch.__version__})'


def pytorch(name, file, x, device, _threads):
    """Eager; with 'both' as mmdetection does it; 'amp' in 16 bits, channels last; 'compile' so too, and compiled."""
    cuda = device.startswith('cuda')
    amp = name in ('amp', 'compile')
    model, x = network.load(file, all_heads='both' in name).to(device), x.to(device)
    if amp:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if name == 'compile':
        import torch._inductor.config as inductor
        inductor.freezing = True
        model = torch.compile(model, mode='max-autotune' if cuda else 'default')

    def forward():
        with torch.no_grad(), torch.autocast('cuda' if cuda else 'cpu', torch.float16 if cuda else torch.bfloat16, enabled=amp):
            return model(x)
    return forward, f'torch {torch.__version__}'


def export(file, x, folder):
    path = f'{folder}/network.onnx'
    model = network.load(file, exportable=True)
    torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17, input_names=['x'])
    return path


def onnxruntime(_name, file, x, device, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    provider = 'CUDAExecutionProvider' if device.startswith('cuda') else 'CPUExecutionProvider'
    with tempfile.TemporaryDirectory() as folder:
        session = ort.InferenceSession(export(file, x, folder), options, providers=[provider])
    x = x.numpy()
    return lambda: [torch.from_numpy(y) for y in session.run(None, {'x': x})], f'onnxruntime {ort.__version__}'


def calibrated(model, calibration, width, height, views, batch):
    """NNCF's post-training quantisation, on the pictures that ours was calibrated with."""
    import nncf
    pictures = sorted(pathlib.Path(calibration).glob('*.rgb'))
    inputs = [network.network_input(picture, width, height, views).repeat(batch, 1, 1, 1).numpy() for picture in pictures]
    return nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs)), f', nncf {nncf.__version__}'


def openvino(name, file, x, _device, threads, calibration=None):
    import openvino as ov
    precision = 'f32' if 'fp32' in name else 'bf16'  # beside int8, what is not of 8 bits
    settings = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': str(threads), 'INFERENCE_PRECISION_HINT': precision}
    with tempfile.TemporaryDirectory() as folder:
        model, more = ov.Core().read_model(export(file, x, folder)), ''
        if 'int8' in name:
            model, more = calibrated(model, **calibration)
        request = ov.Core().compile_model(model, 'CPU', settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(x.numpy()))

    def forward():
        request.infer()
        return [torch.from_numpy(np.array(request.get_output_tensor(0).data))]
    return forward, f'openvino {ov.__version__}{more}'


def make(name, device, file, pixels, width, height, views, threads, batch, calibration, **_ours):
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = 'tf32' in name
    torch.backends.cudnn.benchmark = True
    x = network.network_input(pixels, width, height, views).repeat(batch, 1, 1, 1)
    if 'int8' in name:
        return openvino(name, file, x, device, threads, {'calibration': calibration, 'width': width, 'height': height, 'views': views, 'batch': batch})
    runner = {'mmdetection': mmdetection, 'onnxruntime': onnxruntime, 'openvino': openvino}.get(name.split('-')[0], pytorch)
    return runner(name, file, x, device, threads)
