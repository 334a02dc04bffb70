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

async function installMissing(python: string, name: string, requirement: string): Promise<string | undefined> {
  const installed = (): Promise<unknown> => run(python, ['-c', `import ${name}`]);
  try {
    await installed();
    return undefined;
  } catch {
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    const cpuTorch = requirement.endsWith('+cpu') ? ['--extra-index-url', cpuIndex] : [];
    try {
      await run(python, [...pip, requirement]).catch(() => run(python, [...pip, ...cpuTorch, requirement]));
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
  const requirements: Record<string, string> = {
    numpy: 'numpy',
    torch: cuda ? 'torch==2.13.0' : 'torch==2.13.0+cpu',
    onnx: 'onnx',
    onnxruntime: cuda ? 'onnxruntime-gpu' : 'onnxruntime',
    openvino: 'openvino',
  };
  const missing = new Map<string, string>();
  for (const [name, requirement] of Object.entries(requirements)) {
    const reason = await installMissing(python, name, requirement);
    if (reason !== undefined) missing.set(name, reason);
  }
  const torch = missing.get('torch') ?? missing.get('numpy');
  if (torch !== undefined) throw new Error(`the peers need PyTorch and numpy, which can't be installed here: ${torch}`);
  return { python, missing };
}
