// The Python environment of the peers, made once in the cache folder on top of a Python that has torch; what else is needed is installed when it is.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { cacheFolder } from '../lib/weights/cache.js';
import { pythonWithTorch } from '../test/environment.js';

async function run(program: string, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(program, args)).stdout.trim();
}

/** An index that can't be reached is given up soon. */
const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '15'];

/** What Python's import statement must find, and what pip is asked for otherwise, one call each. */
type Requirement = readonly [imports: string, ...calls: string[]];

const requirements = (cuda: boolean): Record<string, readonly Requirement[]> => {
  const onnx: Requirement = ['onnx', 'onnx'];
  return {
    torch: [['torch, numpy', 'torch==2.13.0 numpy']],
    onnxruntime: [onnx, ['onnxruntime', cuda ? 'onnxruntime-gpu' : 'onnxruntime']],
    openvino: [onnx, ['openvino', 'openvino']],
    nncf: [['nncf', 'nncf']],
    // Its own requirements pin old releases of what the other peers have newer, so what it imports is named here.
    mmdetection: [
      [
        'mmdet, mmengine.runner, six, tqdm',
        '--no-deps mmdet==3.3.0 mmengine==0.10.7 mmcv-lite==2.1.0',
        'addict matplotlib opencv-python-headless pycocotools pyyaml rich scipy shapely six termcolor terminaltables tqdm yapf',
      ],
    ],
  };
};

async function make(folder: string, base?: string): Promise<void> {
  console.error('making a Python environment for the peers (once; some minutes)');
  const part = `${folder}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  const venv = (...options: string[]) => run(base ?? 'python3', '-m', 'venv', ...options, part);
  await venv().catch(() => venv('--without-pip')); // Debian has pip apart
  if (base !== undefined) {
    const torch = await run(base, '-c', 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))');
    const own = await run(join(part, 'bin', 'python'), '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))');
    await writeFile(join(own, 'torch.pth'), torch);
  }
  await rename(part, folder);
}

/** Its interpreter. CORNERNET_PYTHON names the Python with torch; without it the tests' is taken, and on CUDA one that gets a torch of its own. */
export async function peerPython(cuda: boolean): Promise<string> {
  const folder = join(cacheFolder(), 'bench', `peers-${cuda ? 'cuda' : 'cpu'}-2`);
  const python = join(folder, 'bin', 'python');
  if (!existsSync(python)) await make(folder, process.env['CORNERNET_PYTHON'] ?? (cuda ? undefined : await pythonWithTorch()));
  await install(python, 'torch', cuda);
  return python;
}

/** Installs what a peer needs and isn't there. @throws with what pip or Python said last, without the traceback before it. */
export async function install(python: string, peer: string, cuda: boolean): Promise<void> {
  for (const [imports, ...calls] of requirements(cuda)[peer] ?? []) {
    const isThere = (): Promise<string> => run(python, '-c', `import ${imports}`);
    try {
      await isThere().catch(async () => {
        for (const call of calls) await run(python, ...pip, ...call.split(' '));
        await isThere();
      });
    } catch (error) {
      const { stderr, message } = error as { stderr?: string; message: string };
      throw new Error(`not installed: ${((stderr ?? '').trim() || message).split('\n').at(-1)}`, { cause: error });
    }
  }
}
