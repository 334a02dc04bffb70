#!/usr/bin/env python3
"""Compiles every CUDA source for every architecture that ships, with no GPU, and reads the machine code: registers, static shared memory, local memory
(spills), generic accesses (whose memory the compiler did not know) and the widths of global loads and stores of each kernel.

    cuda_check.py nvcc      7.5 and newer; warnings are errors
    cuda_check.py sm_70     7.0, which nvcc 13 no longer knows, by NVRTC 12.4

The wheels nvidia-cuda-nvrtc-cu12==12.4.127 and nvidia-cuda-runtime-cu12==12.4.127 are fetched into a cache folder by pip when missing ($CUDA12 names a
folder that already holds them, laid out as site-packages/nvidia). Exits 1 when a file does not compile or a kernel uses local memory or accesses memory generically.
"""
import collections, ctypes, glob, os, pathlib, re, shutil, struct, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)  # of cmake/Cuda.cmake, with nvcc 13
WIDTHS = {0: 8, 1: 8, 2: 16, 3: 16, 4: 32, 5: 64, 6: 128}  # by the three bits that say so in a load or store

Kernel = collections.namedtuple('Kernel', 'sm registers shared local generic loads stores')

# A known load and store of each width, by which the reading of the machine code is checked on each architecture.
PROBE = ''.join(f'extern "C" __global__ void probe{bits}(const {kind}* a, {kind}* b) {{ b[threadIdx.x] = a[threadIdx.x]; }}\n'
                for bits, kind in ((8, 'unsigned char'), (16, 'unsigned short'), (32, 'float'), (64, 'float2'), (128, 'float4')))


def sections(cubin: bytes) -> dict:
    offset, = struct.unpack_from('<Q', cubin, 40)
    size, count, names = struct.unpack_from('<HHH', cubin, 58)
    headers = [struct.unpack_from('<IIQQQQIIQQ', cubin, offset + i * size) for i in range(count)]
    name = lambda at: cubin[headers[names][4] + at:cubin.index(b'\0', headers[names][4] + at)].decode()
    return {name(h[0]): (h, b'' if h[1] == 8 else cubin[h[4]:h[4] + h[5]]) for h in headers}  # 8: SHT_NOBITS


def register_counts(info: bytes) -> dict:
    """By symbol: the attributes 0x2f (EIATTR_REGCOUNT), each a size and (symbol, registers)."""
    counts, at = {}, 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from('<BBH', info, at)
        at += 4
        if form != 4:  # not EIFMT_SVAL: the value is in the header
            continue
        if attribute == 0x2f:
            symbol, registers = struct.unpack_from('<II', info, at)
            counts[symbol] = registers
        at += size
    return counts


def kernels(cubin: bytes) -> dict:
    """What the instructions (16 bytes each, from Volta on) of each kernel do with memory."""
    found, parts = {}, sections(cubin)
    flags, = struct.unpack_from('<I', cubin, 48)
    sm = (flags >> 8 if flags >> 24 else flags) & 0xff  # nvcc 13 writes it elsewhere than 12
    registers = register_counts(parts['.nv.info'][1])
    for name, (header, code) in parts.items():
        if not name.startswith('.text.'):
            continue
        kernel, local, generic, widths = name[6:], 0, 0, {'load': set(), 'store': set()}
        for low, high in struct.iter_unpack('<QQ', code):
            opcode, width = low & 0xfff, WIDTHS.get(high >> 9 & 7)
            if opcode in (0x381, 0x981):
                widths['load'].add(width)
            elif opcode in (0x386, 0x986):
                widths['store'].add(width)
            local += opcode in (0x983, 0x387)
            generic += opcode in (0x380, 0x980, 0x385, 0x985)
        shared = parts.get(f'.nv.shared.{kernel}')
        static = max(0, shared[0][5] - (1024 if sm >= 80 else 0)) if shared else 0  # the driver's own first KiB
        found[kernel] = Kernel(sm, registers[header[7] & 0xffffff], static, local, generic, widths['load'], widths['store'])
    return found


def check_probe(cubin: bytes) -> None:
    for name, kernel in kernels(cubin).items():
        if (kernel.loads, kernel.stores, kernel.local, kernel.generic) != ({int(name[5:])}, {int(name[5:])}, 0, 0):
            sys.exit(f'the machine code of sm_{kernel.sm} is read wrongly: {name} is {kernel}')


def with_nvcc(source: pathlib.Path, folder: str) -> list:
    codes = [f'-gencode=arch=compute_{a},code=sm_{a}' for a in ARCHITECTURES]
    subprocess.run(['nvcc', '-std=c++17', '--expt-relaxed-constexpr', '--fmad=false', '-Werror', 'all-warnings', '-Xcompiler', '-Wall,-Wextra', f'-I{ROOT}/csrc', '-t', '0',
                    *codes, '--keep', '--keep-dir', folder, '-c', str(source), '-o', f'{folder}/object.o'], check=True)
    return [pathlib.Path(cubin).read_bytes() for cubin in sorted(glob.glob(f'{folder}/{source.stem}.*.cubin'))]


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


def with_nvrtc(source: pathlib.Path, _folder: str) -> list:
    root = toolkit()
    nvrtc, program, size = ctypes.CDLL(glob.glob(f'{root}/cuda_nvrtc/lib/libnvrtc.so.12')[0]), ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), str(source).encode(), 0, None, None)
    options = ['--gpu-architecture=sm_70', '-std=c++17', f'-I{source.parent}', f'-I{root}/cuda_runtime/include', f'-I{ROOT}/csrc', '-default-device', '--fmad=false']
    if nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options])):
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        sys.exit(f'{source} does not compile for sm_70\n{log.value.decode()}')
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, cubin)
    return [cubin.raw]


def readable(symbol: str) -> str:
    """name<precision, other arguments> of a mangled kernel."""
    start = re.match(r'_ZN9cornernet4cuda(\d+)', symbol)
    if not start:
        return symbol
    end = start.end() + int(start[1])
    arguments = re.match(r'I(.*?)EEv', symbol[end:] + 'EEv')[1] if symbol[end] == 'I' else ''
    found = [('fp32', 'fp16', 'bf16')[int(n)] for n in re.findall(r'ScalarE(\d)', arguments)] + re.findall(r'L[a-z](\d+)E', arguments + 'E')
    return symbol[start.end():end] + (f'<{", ".join(found)}>' if found else '')


def main() -> None:
    compilers = {'nvcc': (with_nvcc, set(ARCHITECTURES)), 'sm_70': (with_nvrtc, {70})}
    if len(sys.argv) != 2 or sys.argv[1] not in compilers:
        sys.exit(__doc__)
    compiled, architectures = compilers[sys.argv[1]]
    clean = True
    with tempfile.TemporaryDirectory() as scratch:
        probe = pathlib.Path(scratch) / 'probe.cu'
        probe.write_text(PROBE)
        for cubin in compiled(probe, scratch):
            check_probe(cubin)
        for source in sorted((ROOT / 'csrc').rglob('*.cu')):
            folder = tempfile.mkdtemp(dir=scratch)
            every = collections.defaultdict(list)
            for cubin in compiled(source, folder):
                for symbol, kernel in kernels(cubin).items():
                    every[symbol].append(kernel)
            shutil.rmtree(folder)
            for symbol, built in sorted(every.items()):
                missing = architectures - {kernel.sm for kernel in built}
                registers, local, generic = [k.registers for k in built], sum(k.local for k in built), sum(k.generic for k in built)
                clean = clean and not missing and not local and not generic
                bits = lambda of: ' '.join(map(str, sorted(set.union(*of)))) or '-'
                print(f'{source.stem} {readable(symbol)}: {len(built)} architectures, {min(registers)}-{max(registers)} registers, '
                      f'{max(k.shared for k in built)} bytes static shared, {local} local and {generic} generic accesses, '
                      f'loads {bits([k.loads for k in built])}, stores {bits([k.stores for k in built])} bits')
    sys.exit(0 if clean else 1)


main()
