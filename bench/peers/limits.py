"""What this device reaches at most: limits.py DEVICE THREADS. Prints JSON: matmul peak by precision (FLOP/s) and copy bandwidth (bytes/s read and written)."""
import json
import sys
import time

import torch


def best_seconds(work, synchronize, repeats=10):
    work()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


device, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
cuda = device.startswith('cuda')
synchronize = torch.cuda.synchronize if cuda else lambda: None
side = 8192 if cuda else 2048  # large enough to fill the device
peaks = {}
for name, dtype, tf32 in [('fp32', torch.float32, False), ('bf16', torch.bfloat16, False)] + (
        [('tf32', torch.float32, True), ('fp16', torch.float16, False)] if cuda else []):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    peaks[name] = 2 * side**3 / best_seconds(lambda: torch.mm(a, b, out=out), synchronize)
source = torch.zeros((1 << 30 if cuda else 1 << 28), dtype=torch.uint8, device=device)
target = torch.zeros_like(source)
bandwidth = 2 * len(source) / best_seconds(lambda: target.copy_(source), synchronize)
print(json.dumps({'matmulFlops': peaks, 'copyBytesPerSecond': bandwidth, 'name': torch.cuda.get_device_name() if cuda else 'cpu'}))
