"""One load as PyTorch does it, timed: torch_load.py FILE fresh|initialised. Prints JSON.

The model is made before the clock starts: `initialised` has written its parameters once, as a constructor does, `fresh` meets untouched memory.
"""
import json
import pathlib
import re
import sys
import time

import torch


def model_of(state_dict, initialised):
    """A module with these names and shapes."""
    root = torch.nn.Module()
    for name, tensor in state_dict.items():
        *path, leaf = name.split('.')
        module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        own = torch.empty(tensor.shape, dtype=tensor.dtype)
        module.register_buffer(leaf, own.fill_(1) if initialised else own)
    return root


def peak_bytes():
    return int(re.search(r'VmHWM:\s+(\d+)', pathlib.Path('/proc/self/status').read_text()).group(1)) * 1024


file, pages = sys.argv[1:]
model = model_of(torch.load(file, map_location='meta', weights_only=True)['state_dict'], pages == 'initialised')
pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
idle = peak_bytes()
start = time.perf_counter()
model.load_state_dict(torch.load(file, mmap=True, weights_only=True)['state_dict'])
milliseconds = (time.perf_counter() - start) * 1e3
print(json.dumps({'milliseconds': milliseconds, 'peakBytes': peak_bytes() - idle}))
