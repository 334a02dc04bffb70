#!/usr/bin/env python3
"""Compile CUDA device code to machine code for one GPU architecture with NVRTC: no GPU, no nvcc. Prints each kernel's registers, checks the ELF's architecture.

    sass_check.py sm_70 [-IDIR ...] FILE.cu [FILE.cu ...]

The wheels nvidia-cuda-nvrtc-cu12==12.4.127 and nvidia-cuda-runtime-cu12==12.4.127 are fetched into a cache folder by pip when missing ($CUDA12 names a
folder that already holds them, laid out as site-packages/nvidia). Exits 1 when a file does not compile.
"""
import ctypes, glob, os, pathlib, re, subprocess, sys


def toolkit() -> str:
    root = os.environ.get('CUDA12')
    if root:
        return root
    default = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'cornernet'
    target = pathlib.Path(os.environ.get('CORNERNET_CACHE') or default) / 'nvrtc-12.4'
    if not glob.glob(f'{target}/nvidia/cuda_nvrtc/lib/libnvrtc.so.12'):
        subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--target', str(target),
                        'nvidia-cuda-nvrtc-cu12==12.4.127', 'nvidia-cuda-runtime-cu12==12.4.127'], check=True)
    return f'{target}/nvidia'


def compile_file(lib, root: str, arch: str, includes: list, path: str) -> bool:
    prog = ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(prog), pathlib.Path(path).read_bytes(), path.encode(), 0, None, None)
    options = [f'--gpu-architecture={arch}', '-std=c++17', f'-I{os.path.dirname(os.path.abspath(path))}',
               f'-I{root}/cuda_runtime/include', *includes, '-default-device', '--ptxas-options=-v']
    failed = lib.nvrtcCompileProgram(prog, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options]))
    size = ctypes.c_size_t()
    lib.nvrtcGetProgramLogSize(prog, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(prog, log)
    text = log.value.decode()
    if failed:
        print(f'{path}: does not compile for {arch}\n{text}')
        return False
    lib.nvrtcGetCUBINSize(prog, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetCUBIN(prog, cubin)
    got = int.from_bytes(cubin.raw[48:52], 'little') & 0xff  # ELF e_flags: the SM version
    registers = [int(n) for n in re.findall(r'Used (\d+) registers', text)]
    spills = sum(int(n) for n in re.findall(r'(\d+) bytes spill stores', text))
    print(f'{path}: {len(registers)} kernels for sm_{got}, {min(registers, default=0)}-{max(registers, default=0)} registers, {spills} bytes spilled')
    return got == int(arch.removeprefix('sm_')) and bool(registers)


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    root = toolkit()
    nvrtc = ctypes.CDLL(glob.glob(f'{root}/cuda_nvrtc/lib/libnvrtc.so.12')[0])
    includes = [a for a in sys.argv[2:] if a.startswith('-I')]
    files = [a for a in sys.argv[2:] if not a.startswith('-I')]
    sys.exit(0 if all([compile_file(nvrtc, root, sys.argv[1], includes, f) for f in files]) else 1)
