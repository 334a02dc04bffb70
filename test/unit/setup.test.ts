// The set-up's plan: which LibTorch is taken and how the addon for it is had, which is passed over and why, and what a GPU takes.
import { strict as assert } from 'node:assert';
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { cudnnObstacle, gpuFinding } from '../../lib/commands/doctor.js';
import { root } from '../environment.js';
import { cornernet } from '../support/child.js';
import { builtAgainst, eachOnAMachine, fakeLibtorch, type FakeMachine } from '../support/fake-machine.js';

interface Probe {
  gpus: { name: string; computeCapability: number }[];
  cuda: number;
}

interface Plan {
  libtorch?: { folder: string; version: string; variant: string; source: string };
  fetch?: string;
  prebuilt?: string;
  cuda: boolean;
  unused?: string;
}

/* eslint-disable @typescript-eslint/no-require-imports -- the set-up is plain CommonJS */
const { chooseVariant } = require('../../setup/variant.js') as { chooseVariant: (probe: Probe) => { variant: string; reason: string } };
const { isSupported } = require('../../setup/libtorch.js') as { isSupported: (version: string) => boolean };
/* eslint-enable @typescript-eslint/no-require-imports */

describe('choosing a build of LibTorch', () => {
  const gpus = (...capabilities: number[]): Probe['gpus'] => capabilities.map((computeCapability) => ({ name: 'GPU', computeCapability }));
  for (const [what, probe, variant] of [
    ['no driver', { gpus: [], cuda: 0 }, 'cpu'],
    ['a P100', { gpus: gpus(6.0), cuda: 12.2 }, 'cpu'],
    ['a V100 with an old driver', { gpus: gpus(7.0), cuda: 12.2 }, 'cu126'],
    ['a V100 with a new driver', { gpus: gpus(7.0), cuda: 13.0 }, 'cu126'],
    ['a V100 beside an A100', { gpus: gpus(7.0, 8.0), cuda: 13.0 }, 'cu126'],
    ['a T4 with a new driver', { gpus: gpus(7.5), cuda: 13.1 }, 'cu130'],
    ['H100s with a CUDA 12 driver', { gpus: gpus(9.0, 9.0), cuda: 12.4 }, 'cu126'],
    ['an H200 with a new driver', { gpus: gpus(9.0), cuda: 13.0 }, 'cu130'],
    ['a Blackwell GPU', { gpus: gpus(12.0), cuda: 13.0 }, 'cu130'],
    ['a Blackwell GPU with a CUDA 12 driver', { gpus: gpus(12.0), cuda: 12.8 }, 'cpu'],
    ['a V100 beside a Blackwell GPU', { gpus: gpus(7.0, 12.0), cuda: 13.0 }, 'cpu'],
    ['a driver that is too old', { gpus: gpus(8.0), cuda: 11.4 }, 'cpu'],
  ] as [string, Probe, string][]) {
    it(`${what}: ${variant}`, () => {
      const chosen = chooseVariant(probe);
      assert.equal(chosen.variant, variant);
      assert.ok(chosen.reason.length > 10);
    });
  }

  it('supports 2.11 to 2.14', () => {
    assert.deepEqual(
      ['2.10.1', '2.11.0', '2.12.3', '2.14.1', '2.15.0', '3.11.0', '1.13.0'].map((version) => isSupported(version)),
      [false, true, true, true, false, false, false],
    );
  });
});

describe('the set-up', function () {
  this.timeout(120_000);
  let libtorch: string;
  let machine: FakeMachine;
  before(async () => {
    libtorch = await builtAgainst();
  });
  eachOnAMachine((made) => (machine = made));

  const cache = (name: string): string => fakeLibtorch(libtorch, machine.cached(name), '2.13.0', name.split('+')[1]);

  /** What is planned; `heard` is what was passed over. */
  async function plan(options = '{}', from = root): Promise<{ plan: Plan; heard: string }> {
    const body = `const heard = []; const plan = await setup('plan').makePlan({ tell: (text) => heard.push(text), ...${options} }); return { plan, heard: heard.join('; ') };`;
    const { stdout } = await machine.run(body, from);
    assert.match(stdout, /^\{/, stdout);
    return JSON.parse(stdout) as { plan: Plan; heard: string };
  }

  const planFailure = async (options = '{}'): Promise<string> => (await machine.run(`return setup('plan').makePlan(${options})`)).stdout;

  describe('finds LibTorch', () => {
    it('in LIBTORCH, then in Python, then in the cache', async () => {
      const cached = cache('2.13.0+cpu');
      assert.equal((await plan()).plan.libtorch?.source, 'cache');
      machine.setPython(fakeLibtorch(libtorch, join(machine.folder, 'python', 'torch'), '2.12.0'));
      const python = (await plan()).plan.libtorch;
      assert.deepEqual([python?.version, python?.source], ['2.12.0', 'Python']);
      machine.env['LIBTORCH'] = cached;
      assert.equal((await plan()).plan.libtorch?.source, 'LIBTORCH');
    });

    it('and passes over other versions, and what does not load, with the reason', async () => {
      machine.setPython(fakeLibtorch(libtorch, join(machine.folder, 'python', 'torch'), '2.9.1'));
      const broken = cache('2.13.0+cpu');
      rmSync(join(broken, 'lib', 'libtorch_cpu.so'));
      cpSync(join(libtorch, 'lib', 'libc10.so'), join(broken, 'lib', 'libtorch_cpu.so'));
      truncateSync(join(broken, 'lib', 'libtorch_cpu.so'), 1000);
      const { plan: made, heard } = await plan();
      assert.match(heard, /passing over .*python.*: it is version 2\.9\.1; 2\.11 to 2\.14 are supported/);
      assert.match(heard, /passing over .*cache.*: .*libtorch_cpu\.so/);
      assert.deepEqual([made.libtorch, made.fetch], [undefined, 'cpu']);
    });

    it('a LIBTORCH that can not be used is an error: nothing else is taken instead', async () => {
      cache('2.13.0+cpu');
      machine.env['LIBTORCH'] = join(machine.folder, 'nowhere');
      assert.match(
        await planFailure(),
        /^LIBTORCH names .*nowhere, which can't be used: there is no such folder, and no such build \(cpu, cu126, cu130\)\n$/,
      );
      machine.env['LIBTORCH'] = machine.folder;
      assert.match(await planFailure(), /which can't be used: it has no LibTorch headers\n$/);
    });
  });

  describe('with a GPU', () => {
    it('does not let a CPU LibTorch keep it from being used', async () => {
      machine.setGpu('H100', '9.0', '13.0');
      machine.setNvcc('13.0');
      machine.setPython(fakeLibtorch(libtorch, join(machine.folder, 'python', 'torch'), '2.13.0'));
      cache('2.13.0+cpu');
      const { plan: made } = await plan();
      assert.deepEqual([made.fetch, made.cuda, made.unused], ['cu130', true, undefined]);
      const cuda = cache('2.13.0+cu130');
      assert.equal((await plan()).plan.libtorch?.folder, cuda);
    });

    it('takes a CUDA build that has code for it, and no other', async () => {
      machine.setNvcc('12.6');
      cache('2.13.0+cu126');
      const cu130 = cache('2.13.0+cu130');
      machine.setGpu('V100', '7.0', '13.0');
      assert.equal((await plan()).plan.libtorch?.variant, 'cu126');
      rmSync(dirname(machine.cached('2.13.0+cu126')), { recursive: true });
      assert.equal((await plan()).plan.fetch, 'cu126');
      // Asked for, it is taken all the same, and what that means is said.
      const asked = (await plan(`{ libtorch: ${JSON.stringify(cu130)} }`)).plan;
      assert.deepEqual([asked.libtorch?.folder, asked.cuda], [cu130, false]);
      assert.match(asked.unused ?? '', /LIBTORCH names a cu130 build, which has no code for it/);
    });

    it('says what using it takes where that is missing', async () => {
      machine.setGpu('Tesla V100', '7.0', '12.2');
      cache('2.13.0+cpu');
      const without = (await plan()).plan;
      assert.equal(without.libtorch?.variant, 'cpu');
      assert.match(
        without.unused ?? '',
        /^the GPU \(Tesla V100\) is not used: there is no CUDA compiler \(nvcc\): install the toolkit of CUDA 12, or the package cornernet-linux-x64-cu126 of this version, and run `npx cornernet setup` again$/,
      );
      machine.setNvcc('13.0');
      assert.match(
        (await plan()).plan.unused ?? '',
        /nvcc is of CUDA 13\.0, LibTorch \(cu126\) of CUDA 12: install the toolkit of CUDA 12/,
      );
      machine.setGpu('Tesla K80', '3.7', '11.4');
      assert.match((await plan()).plan.unused ?? '', /no CUDA build of torch 2\.13\.0 suits this machine.*a newer driver may help/);
    });

    it('says that a choice keeps it from being used, and how to take that back', async () => {
      machine.setGpu('H100', '9.0', '13.0');
      machine.setNvcc('13.0');
      machine.env['LIBTORCH'] = cache('2.13.0+cpu');
      assert.match(
        (await plan()).plan.unused ?? '',
        /LIBTORCH names a cpu build, which has no code for it: unset it, and run `npx cornernet setup` again/,
      );
      delete machine.env['LIBTORCH'];
      machine.env['CORNERNET_CUDA'] = '0';
      const { plan: made } = await plan();
      assert.deepEqual([made.libtorch?.variant, made.cuda], ['cpu', false]);
      assert.match(made.unused ?? '', /CORNERNET_CUDA=0 leaves the CUDA side out: unset it/);
      machine.env['CORNERNET_CUDA'] = 'yes';
      assert.match(await planFailure(), /CORNERNET_CUDA is 0 or 1, not 'yes'/);
    });

    it('doctor knows which cuDNN serves which GPU', () => {
      assert.match(cudnnObstacle(91_100, 7) ?? '', /^cuDNN 9\.11\.0 no longer serves it: .*cudnn-cu12<9\.11/);
      for (const [version, capability] of [
        [91_002, 7],
        [91_100, 7.5],
        [0, 7],
      ] as const)
        assert.equal(cudnnObstacle(version, capability), undefined);
    });

    it('doctor knows a GPU among those that CUDA sees by its generation, and leaves alone what is hidden from it', () => {
      const of = (computeCapability: number, devices: { major: number; hasCode: boolean; obstacle: string }[], left?: string): string => {
        const { found, remedy = '' } = gpuFinding({ gpu: { name: 'a GPU', computeCapability }, cuda: 13 }, { cuda: true, cudnnVersion: 91_900, devices }, {}, left); // prettier-ignore
        return `${found} -> ${remedy}`;
      };
      const devices = [
        { major: 12, hasCode: true, obstacle: "a GPU can't be used: CUDA error: CUDA-capable device(s) is/are busy or unavailable" },
        { major: 9, hasCode: true, obstacle: '' },
        { major: 8, hasCode: false, obstacle: 'no code' },
      ];
      assert.match(of(9, devices), /the addon has code for it -> $/);
      assert.match(of(12, devices), /for CUDA 13\.0 -> a GPU can't be used: CUDA error: .* busy or unavailable$/);
      assert.match(of(8.6, devices), /-> the addon has no code for it: run/);
      assert.match(of(7.5, devices), /-> CUDA does not see it/);
      assert.match(of(7.5, [], '0'), /-> CUDA does not see it/);
      assert.match(of(7.5, [], ''), /not used: CUDA_VISIBLE_DEVICES is '' -> $/);
      assert.match(of(7.5, devices, '1,0'), /not used: CUDA_VISIBLE_DEVICES is '1,0' -> $/);
      assert.match(of(6.1, devices, '1,0'), /not used: CUDA_VISIBLE_DEVICES is '1,0' -> $/);
    });

    it('doctor gives the command that helps', async () => {
      machine.setGpu('H100', '9.0', '13.0');
      const doctor = async (): Promise<string> => (await cornernet(['doctor'], { env: machine.env })).stdout;
      assert.match(
        await doctor(),
        /FIX {2}GPU .*H100[^]*-> the GPU \(H100\) is not used: there is no CUDA compiler .* install the toolkit of CUDA 13/,
      );
      machine.setNvcc('13.0');
      assert.match(
        await doctor(),
        /FIX {2}LibTorch [^]*-> run `npx cornernet setup`, which fetches the cu130 build of LibTorch and builds the addon/,
      );
      assert.match(await doctor(), /FIX {2}GPU [^]*-> the addon has no CUDA side: run `npx cornernet setup`, which takes the cu130 build/);
    });
  });

  it('says at once that a machine is none that the addon runs on', async () => {
    for (const [machineIs, sentence] of [
      ["Object.defineProperty(process, 'platform', { value: 'darwin' })", /: this is darwin on x64\n$/],
      ["Object.defineProperty(process, 'arch', { value: 'riscv64' })", /: this is linux on riscv64\n$/],
      ['process.report.getReport = () => ({ header: {} })', /: this system has another C library, as Alpine Linux does; /],
      ["process.report.getReport = () => ({ header: { glibcVersionRuntime: '2.17' } })", /: this system has 2\.17\n$/],
    ] as const) {
      const { code, stdout } = await machine.run(`${machineIs}; return setup('plan').makePlan();`);
      assert.equal(code, 1);
      assert.match(stdout, /^the native addon runs on Linux on x86-64 or ARM64 with glibc 2\.28 or newer: /);
      assert.match(stdout, sentence);
    }
  });

  it('takes the CPU build on ARM64, for which there is no other to fetch', async () => {
    machine.setGpu('GH200', '9.0', '13.0');
    machine.setNvcc('13.0');
    const onArm = (options: string): Promise<{ stdout: string }> =>
      machine.run(`Object.defineProperty(process, 'arch', { value: 'arm64' }); return setup('plan').makePlan(${options});`);
    const chosen = JSON.parse((await onArm('')).stdout) as Plan;
    assert.deepEqual([chosen.fetch, chosen.cuda], ['cpu', false]);
    assert.match(
      chosen.unused ?? '',
      /^the GPU \(GH200\) is not used: no CUDA build is fetched for arm64: LIBTORCH can name the folder of one$/,
    );
    assert.match((await onArm(`{ libtorch: 'cu130' }`)).stdout, /^LIBTORCH names cu130, which is neither a build \(cpu\) nor /);
    const named = fakeLibtorch(libtorch, join(machine.folder, 'named', 'torch'), '2.13.0', 'cu130');
    assert.equal((JSON.parse((await onArm(`{ libtorch: '${named}' }`)).stdout) as Plan).cuda, true);
    machine.env['CORNERNET_CUDA'] = '1';
    assert.match(
      (await onArm('')).stdout,
      /^CORNERNET_CUDA=1, but no CUDA build .* LIBTORCH can name the folder of one, with CORNERNET_CUDA unset$/m,
    );
  });

  it('a build can be named, also for a GPU that is elsewhere', async () => {
    cache('2.13.0+cpu');
    assert.equal((await plan(`{ libtorch: 'cpu' }`)).plan.libtorch?.variant, 'cpu');
    machine.setNvcc('12.8');
    assert.equal((await plan(`{ libtorch: 'cu126' }`)).plan.fetch, 'cu126');
    assert.match(
      await planFailure(`{ libtorch: 'cu130' }`),
      /the addon can't be built: nvcc is of CUDA 12\.8, LibTorch \(cu130\) of CUDA 13/,
    );
    machine.env['CORNERNET_CUDA'] = '1';
    assert.equal((await plan()).plan.fetch, 'cu126');
  });

  it('takes a prebuilt addon of this version where one fits, and then needs no compiler', async () => {
    const home = join(machine.folder, 'app', 'node_modules', 'cornernet');
    cpSync(join(root, 'setup'), join(home, 'setup'), { recursive: true });
    cpSync(join(root, 'package.json'), join(home, 'package.json'));
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const provide = (variant: string, of = version): void => {
      const at = join(dirname(home), `cornernet-linux-x64-${variant}`);
      mkdirSync(at, { recursive: true });
      writeFileSync(join(at, 'package.json'), JSON.stringify({ name: `cornernet-linux-x64-${variant}`, version: of, libtorch: '2.13.0' }));
    };
    machine.env['CXX'] = 'false';
    for (const name of ['cmake', 'c++', 'g++', 'clang++'])
      writeFileSync(join(machine.folder, 'bin', name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const ofCpu = fakeLibtorch(libtorch, join(machine.folder, 'python', 'torch'), '2.12.0');
    machine.setPython(ofCpu);
    assert.match(
      (await machine.run(`return setup('plan').makePlan()`, home)).stdout,
      /CMake is not installed: install a C\+\+20 compiler, CMake 3\.18 or newer and make, or the package cornernet-linux-x64-cpu/,
    );
    provide('cpu', '0.0.9');
    assert.match((await machine.run(`return setup('plan').makePlan()`, home)).stdout, /CMake is not installed/);
    provide('cpu');
    // Python's 2.12 has another binary interface.
    const fetched = await plan('{}', home);
    assert.deepEqual([fetched.plan.fetch, fetched.plan.prebuilt?.endsWith('cornernet-linux-x64-cpu/cornernet.node')], ['cpu', true]);
    const cached = cache('2.13.0+cpu');
    assert.deepEqual((await plan('{}', home)).plan.libtorch?.folder, cached);
    machine.setGpu('V100', '7.0', '12.2');
    assert.match((await plan('{}', home)).plan.unused ?? '', /the package cornernet-linux-x64-cu126 of this version/);
    provide('cu126');
    assert.equal((await plan('{}', home)).plan.fetch, 'cu126');
  });
});
