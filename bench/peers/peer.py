"""One peer as a long-lived process: peer.py KIND CHECKPOINT PIXELS WIDTH HEIGHT FLIP DEVICE THREADS BATCH. Each line in is one forward; out come JSON lines.

The clock holds the network alone: from the normalised input in the device's memory to the finished maps, no reading of pictures and no decoding.
"""
import json
import pathlib
import re
import sys
import tempfile
import time

import numpy as np
import torch

import network


def peak_bytes():
    return int(re.search(r'VmHWM:\s+(\d+)', pathlib.Path('/proc/self/status').read_text()).group(1)) * 1024


class Peer:
    def __init__(self, kind, file, x, device, threads):
        self.kind, self.file, self.device, self.threads = kind, file, device, threads
        self.x = x
        torch.set_num_threads(threads)

    def synchronize(self):
        if self.device.startswith('cuda'):
            torch.cuda.synchronize()

    def prepare(self):
        """A function of no arguments that runs one forward and returns the maps, and the version of what runs it."""
        if self.kind.startswith('onnxruntime'):
            return self.onnxruntime()
        if self.kind.startswith('openvino'):
            return self.openvino()
        if self.kind.startswith('mmdetection'):
            return self.mmdetection()
        return self.pytorch()

    def set_up_cuda(self):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = 'tf32' in self.kind
        torch.backends.cudnn.benchmark = True

    def mmdetection(self):
        import mmdetection
        self.set_up_cuda()
        model, version = mmdetection.load(self.file)
        model, x = model.to(self.device), self.x.to(self.device)

        def forward():
            with torch.no_grad():
                return [maps[-1] for maps in model(x, mode='tensor')]  # of each of the two levels, which both were computed
        return forward, f'{version} (torch {torch.__version__})'

    def pytorch(self):
        kind = self.kind
        cuda = self.device.startswith('cuda')
        self.set_up_cuda()
        amp, compiled = 'amp' in kind or 'compile' in kind, 'compile' in kind
        model = network.load(self.file, all_heads='both' in kind).to(self.device)
        x = self.x.to(self.device)
        if amp:
            model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        if compiled:
            import torch._inductor.config as inductor
            inductor.freezing = True
            model = torch.compile(model, mode='max-autotune' if cuda else 'default')
        half = torch.float16 if cuda else torch.bfloat16

        def forward():
            with torch.no_grad(), torch.autocast('cuda' if cuda else 'cpu', half, enabled=amp):
                return model(x)
        return forward, f'torch {torch.__version__}'

    def export(self, folder):
        path = f'{folder}/network.onnx'
        model = network.load(self.file, fold=True, exportable=True)
        torch.onnx.export(model, (self.x,), path, dynamo=False, opset_version=17, input_names=['x'])
        return path

    def onnxruntime(self):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        cuda = self.device.startswith('cuda')
        with tempfile.TemporaryDirectory() as folder:
            session = onnxruntime.InferenceSession(self.export(folder), options,
                                                   providers=['CUDAExecutionProvider' if cuda else 'CPUExecutionProvider'])
        x = self.x.numpy()
        return lambda: [torch.from_numpy(y) for y in session.run(None, {'x': x})], f'onnxruntime {onnxruntime.__version__}'

    def openvino(self):
        import openvino
        precision = 'bf16' if 'bf16' in self.kind else 'f32'
        with tempfile.TemporaryDirectory() as folder:
            settings = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': str(self.threads), 'INFERENCE_PRECISION_HINT': precision}
            model = openvino.Core().compile_model(self.export(folder), 'CPU', settings)
        request = model.create_infer_request()
        request.set_input_tensor(openvino.Tensor(self.x.numpy(), shared_memory=True))

        def forward():
            request.infer()
            return [torch.from_numpy(np.array(request.get_output_tensor(0).data))]
        return forward, f'openvino {openvino.__version__}'


def main():
    kind, file, pixels, width, height, flip, device, threads, batch = sys.argv[1:]
    x = network.network_input(pixels, int(width), int(height), flip == 'flip').repeat(int(batch), 1, 1, 1)
    peer = Peer(kind, file, x, device, int(threads))
    forward, version = peer.prepare()
    heat = forward()[0][0].float().cpu().contiguous().flatten()
    sample = heat[:: max(1, len(heat) // 1000)][:1000]
    print(json.dumps({'version': version, 'peakBytes': peak_bytes(), 'sample': [round(v, 4) for v in sample.tolist()]}), flush=True)
    for _ in sys.stdin:
        peer.synchronize()
        start = time.perf_counter()
        forward()
        peer.synchronize()
        print(json.dumps({'seconds': time.perf_counter() - start}), flush=True)


main()
