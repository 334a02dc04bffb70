// The Python environment of the peers, made once in the cache folder by one command.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const cpuIndex = 'https://download.pytorch.org/whl/cpu';

export interface PeerEnvironment {
  readonly python: string;
  /** Package to the reason why it isn't here. */
  readonly missing: ReadonlyMap<string, string>;
}

/** What pip or Python said last, without the traceback before it. */
function lastLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return ((stderr ?? '').trim() || message).split('\n').at(-1) ?? message;
}

interface Requirement {
  /** Of Python's import statement: what is there when all of it is. */
  readonly imports: string;
  /** What pip is asked for, one call each. */
  readonly install: readonly (readonly string[])[];
}

/** mmdetection's own requirements pin old releases of what the other peers have newer, so what it imports is named here. */
const mmdetection: Requirement = {
  imports: 'mmdet, mmengine.runner, six, tqdm',
  install: [
    ['--no-deps', 'mmdet==3.3.0', 'mmengine==0.10.7', 'mmcv-lite==2.1.0'],
    ['addict', 'matplotlib', 'opencv-python-headless', 'pycocotools', 'pyyaml', 'rich', 'scipy', 'shapely', 'termcolor', 'terminaltables'],
    ['six', 'tqdm', 'yapf'],
  ],
};

async function installMissing(python: string, { imports, install }: Requirement): Promise<string | undefined> {
  const installed = (): Promise<unknown> => run(python, ['-c', `import ${imports}`]);
  try {
    await installed();
    return undefined;
  } catch {
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    try {
      for (const some of install) {
        const cpuTorch = some.some((one) => one.endsWith('+cpu')) ? ['--extra-index-url', cpuIndex] : [];
        await run(python, [...pip, ...some]).catch(() => run(python, [...pip, ...cpuTorch, ...some]));
      }
      await installed();
      return undefined;
    } catch (error) {
      return lastLine(error);
    }
  }
}

/** Only PyTorch is needed for anything at all; a peer that can't be had is reported with its reason. */
export async function peerEnvironment(cuda: boolean): Promise<PeerEnvironment> {
  const cache = process.env['CORNERNET_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'cornernet');
  const folder = join(cache, 'bench', `peers-${cuda ? 'cuda' : 'cpu'}-1`);
  const python = join(folder, 'bin', 'python');
  if (!existsSync(python)) {
    console.error('making a Python environment for the peers (once; some minutes)');
    const part = `${folder}.part`;
    await rm(part, { recursive: true, force: true });
    await mkdir(part, { recursive: true });
    await run('python3', ['-m', 'venv', part]);
    await rename(part, folder);
  }
  const one = (imports: string, requirement = imports): Requirement => ({ imports, install: [[requirement]] });
  const requirements: Record<string, Requirement> = {
    numpy: one('numpy'),
    torch: one('torch', cuda ? 'torch==2.13.0' : 'torch==2.13.0+cpu'),
    onnx: one('onnx'),
    onnxruntime: one('onnxruntime', cuda ? 'onnxruntime-gpu' : 'onnxruntime'),
    openvino: one('openvino'),
    mmdetection,
  };
  const missing = new Map<string, string>();
  for (const [name, requirement] of Object.entries(requirements)) {
    const reason = await installMissing(python, requirement);
    if (reason !== undefined) missing.set(name, reason);
  }
  const torch = missing.get('torch') ?? missing.get('numpy');
  if (torch !== undefined) throw new Error(`the peers need PyTorch and numpy, which can't be installed here: ${torch}`);
  return { python, missing };
}
