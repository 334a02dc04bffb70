// A machine as the set-up sees it: stand-ins for nvidia-smi, nvcc and Python on the PATH, and LibTorch folders whose libraries are the real ones.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { root } from '../environment.js';
import { runNode, type Ended } from './child.js';

/* eslint-disable @typescript-eslint/no-require-imports -- the set-up is plain CommonJS */
const { makePlan } = require('../../setup/plan.js') as { makePlan: () => Promise<{ libtorch?: { folder: string } }> };
/* eslint-enable @typescript-eslint/no-require-imports */

/** The LibTorch that this project is built against. */
export async function builtAgainst(): Promise<string> {
  const { libtorch } = await makePlan();
  if (!libtorch) throw new Error('no LibTorch is here: npm test sets one up');
  return libtorch.folder;
}

export interface FakeMachine extends Disposable {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Where LibTorchs of the cache are: `cached('2.13.0+cpu')`. */
  cached(name: string): string;
  setGpu(name: string, capability: string, driver: string): void;
  setNvcc(version: string): void;
  /** A python3 whose torch is in this folder; '' for one without torch. Its pip finds nothing. */
  setPython(torch: string): void;
  /** A program of this name. */
  program(name: string, script: string): void;
  /** Runs `body` with `setup(name)` requiring a script of the set-up; what it resolves with is printed as JSON, a failure as its message. */
  run(body: string, from?: string): Promise<Ended>;
}

/** Without a GPU, a CUDA compiler or a LibTorch, and with an empty cache. */
export function fakeMachine(): FakeMachine {
  const folder = mkdtempSync(join(tmpdir(), 'cornernet-setup-'));
  mkdirSync(join(folder, 'bin'));
  const program = (name: string, script: string): void => {
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  };
  const env: NodeJS.ProcessEnv = {
    PATH: `${join(folder, 'bin')}:${dirname(process.execPath)}:/usr/bin:/bin`,
    HOME: folder,
    CORNERNET_CACHE: join(folder, 'cache'),
    CUDA_HOME: join(folder, 'nowhere'),
  };
  const setPython = (torch: string): void => {
    program(
      'python3',
      `if [ "$1" = "-I" ] && [ "$2" = "-c" ]; then echo "${torch}"; exit 0; fi\necho 'No matching distribution found' >&2\nexit 1`,
    );
  };
  setPython('');
  program('nvcc', 'exit 1');
  return {
    folder,
    env,
    setPython,
    program,
    cached: (name) => join(folder, 'cache', 'libtorch', name, 'torch'),
    setGpu(name, capability, driver) {
      program('nvidia-smi', `if [ $# -gt 0 ]; then echo "${name}, ${capability}"; else echo "| CUDA Version: ${driver} |"; fi`);
    },
    setNvcc(version) {
      program('nvcc', `echo "Cuda compilation tools, release ${version}, V${version}.1"`);
    },
    run(body, from = root) {
      const script = `const setup = (name) => require(${JSON.stringify(from)} + '/setup/' + name + '.js');
        (async () => { ${body} })().then(
          (result) => console.log(JSON.stringify(result) ?? 'undefined'),
          (error) => { console.log(error.code === undefined ? error.stack : error.message); process.exitCode = 1; });`;
      return runNode(['-e', script], { env, cwd: from });
    },
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** To be called where a suite is described: before each test, a machine for that one. */
export function eachOnAMachine(use: (machine: FakeMachine) => void): void {
  let machine: FakeMachine;
  beforeEach(() => {
    machine = fakeMachine();
    use(machine);
  });
  afterEach(() => {
    machine[Symbol.dispose]();
  });
}

/** A folder laid out as LibTorch: the headers of `version`, the libraries of `real`, and what looks like a CUDA library for another build than cpu. */
export function fakeLibtorch(real: string, at: string, version: string, variant = 'cpu'): string {
  const [major = '', minor = '', patch = ''] = version.split('.');
  for (const headers of [join(at, 'include', 'torch', 'headeronly'), join(at, 'include', 'torch', 'csrc', 'api', 'include', 'torch')]) {
    mkdirSync(headers, { recursive: true });
    const numbers = { MAJOR: major, MINOR: minor, PATCH: patch };
    writeFileSync(
      join(headers, 'version.h'),
      Object.entries(numbers)
        .map(([name, number]) => `#define TORCH_VERSION_${name} ${number}\n`)
        .join(''),
    );
    writeFileSync(join(headers, 'torch.h'), '');
  }
  mkdirSync(join(at, 'lib'));
  for (const name of readdirSync(join(real, 'lib'))) symlinkSync(join(real, 'lib', name), join(at, 'lib', name));
  if (variant !== 'cpu')
    for (const name of ['torch_cuda', 'c10_cuda']) symlinkSync(join(real, 'lib', 'libc10.so'), join(at, 'lib', `lib${name}.so`));
  writeFileSync(join(at, 'version.py'), `__version__ = '${version}+${variant}'\n`);
  return at;
}

/** What a file says; '' when it isn't there. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
