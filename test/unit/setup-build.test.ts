// Building the addon: whatever changed reaches CMake, and no failure or move blocks the next build. A project in small stands for the large one, whose
// CMake modules it has.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from '../environment.js';
import { builtAgainst, eachOnAMachine, fakeLibtorch, textOf, type FakeMachine } from '../support/fake-machine.js';

const cmakeLists = `
cmake_minimum_required(VERSION 3.18)
project(cornernet LANGUAGES CXX)
set(LIBTORCH "" CACHE PATH "")
set(CORNERNET_CUDA "" CACHE STRING "")
set(CORNERNET_OUTPUT \${CMAKE_BINARY_DIR}/Release CACHE PATH "")
list(APPEND CMAKE_MODULE_PATH \${CMAKE_CURRENT_SOURCE_DIR}/cmake)
find_package(LibTorch REQUIRED)
include(cmake/Cuda.cmake)
foreach(name cornernet cornernet_testing)
  if(name STREQUAL cornernet OR CORNERNET_TESTING)
    add_library(\${name} MODULE csrc/addon.cpp)
    target_compile_definitions(\${name} PRIVATE LIBTORCH="\${LibTorch_ROOT}" WITH_CUDA="\${CORNERNET_WITH_CUDA}")
    set_target_properties(\${name} PROPERTIES PREFIX "" SUFFIX .node LIBRARY_OUTPUT_DIRECTORY \${CORNERNET_OUTPUT})
  endif()
endforeach()
`;
const source = 'extern "C" const char* says() { return "built with " LIBTORCH ", CUDA " WITH_CUDA; }\n';

describe('building the addon', function () {
  this.timeout(120_000);
  let real: string;
  let machine: FakeMachine;
  let project: string;
  before(async () => {
    real = await builtAgainst();
  });
  eachOnAMachine((made) => {
    machine = made;
    project = join(machine.folder, 'project');
    for (const name of ['setup', 'cmake']) cpSync(join(root, name), join(project, name), { recursive: true });
    for (const name of ['node-api-headers', 'node-addon-api']) mkdirSync(join(project, 'node_modules', name), { recursive: true });
    for (const name of ['node-api-headers', 'node-addon-api']) writeFileSync(join(project, 'node_modules', name, 'package.json'), '{}');
    mkdirSync(join(project, 'csrc'));
    writeFileSync(join(project, 'CMakeLists.txt'), cmakeLists);
    writeFileSync(join(project, 'csrc', 'addon.cpp'), source);
    machine.env['LIBTORCH'] = libtorch('first');
  });

  const libtorch = (name: string): string => fakeLibtorch(real, join(machine.folder, name), '2.13.0');

  /** true when something was built, false when nothing had to be, else what went wrong. */
  async function build(options = '{}'): Promise<boolean | string> {
    const { stdout } = await machine.run(
      `const plan = await setup('plan').makePlan(); return setup('build').buildAddon(plan.libtorch, { ...plan, ...${options} });`,
      project,
    );
    return stdout === 'true\n' || stdout === 'false\n' ? (JSON.parse(stdout) as boolean) : stdout;
  }

  const addon = (at = project): string => textOf(join(at, 'build', 'Release', 'cornernet.node'));
  const record = async (): Promise<string | null> => {
    const { stdout } = await machine.run(`return setup('build').addonRecord()?.made ?? null`, project);
    return JSON.parse(stdout) as string | null;
  };

  it('builds once, and again when a source, the folder or the version of LibTorch changed', async () => {
    assert.equal(await build(), true);
    assert.match(addon(), /built with .*\/first, CUDA OFF/);
    assert.equal(await build(), false);
    writeFileSync(join(project, 'csrc', 'addon.cpp'), source.replace('built', 'built anew'));
    assert.equal(await build(), true);
    assert.match(addon(), /built anew with/);
    machine.env['LIBTORCH'] = libtorch('second');
    assert.equal(await build(), true);
    assert.match(addon(), /\/second, CUDA OFF/);
    rmSync(join(machine.folder, 'second'), { recursive: true });
    fakeLibtorch(real, join(machine.folder, 'second'), '2.12.0');
    assert.equal(await build(), true);
  });

  it('a source that is edited while it is compiled is built the next time, be its object as new', async () => {
    const file = join(project, 'csrc', 'addon.cpp');
    const edited = join(machine.folder, 'edited.cpp');
    writeFileSync(edited, source.replace('built', 'edited and built'));
    machine.program(
      'c++-beside-an-editor',
      `
      c++ "$@" || exit 1
      case "$*" in *" -c ${file}"*) cp ${edited} ${file};; *) exit;; esac
      sleep 0.1
      for word; do [ "$before" = -o ] && touch "$word"; before=$word; done`,
    );
    machine.env['CMAKE_GENERATOR'] = 'Unix Makefiles'; // Ninja's log knows when it began
    machine.env['CXX'] = join(machine.folder, 'bin', 'c++-beside-an-editor');
    assert.equal(await build(), true);
    assert.match(addon(), /^(?![^]*edited)[^]*built with/);
    assert.equal(await build(), true);
    assert.match(addon(), /edited and built with/);
  });

  it('builds against a LibTorch in a folder whose name has spaces', async () => {
    machine.env['LIBTORCH'] = libtorch('with two spaces');
    assert.equal(await build(), true);
    assert.match(addon(), /built with .*\/with two spaces, CUDA OFF/);
    assert.equal(await build(), false);
  });

  it('a cache in another folder is used', async () => {
    delete machine.env['LIBTORCH'];
    for (const name of ['one', 'two']) {
      machine.env['CORNERNET_CACHE'] = join(machine.folder, name);
      fakeLibtorch(real, join(machine.folder, name, 'libtorch', '2.13.0+cpu', 'torch'), '2.13.0');
      assert.equal(await build(), true);
      assert.match(addon(), new RegExp(`/${name}/libtorch/`));
    }
  });

  it('a failed configuration or compilation does not block the next build, and leaves the addon that was there', async () => {
    assert.equal(await build(), true);
    machine.env['CXX'] = join(machine.folder, 'broken-compiler');
    assert.match((await build()) as string, /cmake .* failed \(exit code 1\):[^]*broken-compiler/);
    assert.match(addon(), /built with/);
    assert.equal(await record(), null);
    delete machine.env['CXX'];
    writeFileSync(join(project, 'csrc', 'addon.cpp'), 'nonsense\n');
    assert.match((await build()) as string, /cmake --build .* failed[^]*nonsense/);
    writeFileSync(join(project, 'csrc', 'addon.cpp'), source);
    assert.equal(await build(), true);
    assert.equal(await record(), 'built');
  });

  it('CORNERNET_CUDA=1 reaches CMake, and so does taking it back', async () => {
    assert.equal(await build(), true);
    machine.env['CORNERNET_CUDA'] = '1';
    machine.setNvcc('13.0');
    // The stand-in says that it is nvcc, and then compiles nothing.
    machine.env['LIBTORCH'] = fakeLibtorch(real, join(machine.folder, 'cuda'), '2.13.0', 'cu130');
    assert.match((await build()) as string, /cmake .* failed[^]*CUDA/);
    machine.env['CORNERNET_CUDA'] = '0';
    assert.equal(await build(), true);
    assert.match(addon(), /\/cuda, CUDA OFF/);
  });

  it('a moved or copied project builds its own sources', async () => {
    assert.equal(await build(), true);
    const copy = join(machine.folder, 'copy');
    cpSync(project, copy, { recursive: true, preserveTimestamps: true });
    writeFileSync(join(copy, 'csrc', 'addon.cpp'), source.replace('built', 'copied and built'));
    const original = project;
    project = copy;
    assert.equal(await build(), true);
    assert.match(addon(copy), /copied and built with/);
    assert.match(addon(original), /^(?![^]*copied)[^]*built with/);
    project = join(machine.folder, 'moved');
    renameSync(copy, project);
    assert.equal(await build(), true);
    assert.equal(await build(), false);
  });

  it('an addon that came another way is replaced', async () => {
    assert.equal(await build(), true);
    writeFileSync(join(project, 'build', 'Release', 'cornernet.node'), 'another');
    assert.equal(await record(), null);
    assert.equal(await build(), true);
    assert.match(addon(), /built with/);
  });

  it('one built with the tests serves without them', async () => {
    assert.equal(await build(), true);
    assert.equal(await build('{ testing: true }'), true);
    assert.ok(existsSync(join(project, 'build', 'Release', 'cornernet_testing.node')));
    assert.equal(await build(), false);
  });

  it('another generator begins anew', async () => {
    machine.env['CMAKE_GENERATOR'] = 'Unix Makefiles';
    assert.equal(await build(), true);
    writeFileSync(join(project, 'csrc', 'addon.cpp'), source.replace('built', 'built anew'));
    delete machine.env['CMAKE_GENERATOR'];
    assert.equal(await build(), true);
    assert.match(addon(), /built anew/);
  });

  describe('CMake, called by hand', () => {
    const configure = (from: string, env: NodeJS.ProcessEnv, ...args: string[]): { status: number | null; says: string } => {
      const folder = join(machine.folder, 'configured');
      const { stderr, stdout, status } = spawnSync('cmake', ['-S', from, '-B', folder, ...args], { encoding: 'utf8', env });
      return { status, says: (stdout + stderr).replace(/\s+/g, ' ') };
    };

    it('says what is wrong in a sentence', () => {
      const failure = (...args: string[]): string => {
        const { status, says } = configure(root, { ...machine.env, LIBTORCH: '' }, ...args);
        assert.notEqual(status, 0);
        return says;
      };
      assert.match(failure(`-DLIBTORCH=${join(machine.folder, 'nowhere')}`), /No LibTorch was found.*npx cornernet setup/);
      const old = fakeLibtorch(real, join(machine.folder, 'old'), '2.10.0');
      assert.match(failure(`-DLIBTORCH=${old}`), /LibTorch 2\.10\.0 at .* is not supported: cornernet needs 2\.11 to 2\.14/);
      assert.match(
        failure(`-DLIBTORCH=${libtorch('cpu')}`, '-DCORNERNET_CUDA=1'),
        /CORNERNET_CUDA=1, but the LibTorch at .* is a CPU build/,
      );
    });

    it('takes the LibTorch of a changed environment, and without one what the set-up would', () => {
      assert.equal(configure(project, machine.env).status, 0);
      const env = { ...machine.env, LIBTORCH: libtorch('second') };
      assert.equal(configure(project, env).status, 0);
      const used = (): string => textOf(join(machine.folder, 'configured', 'CMakeCache.txt'));
      assert.match(used(), /LibTorch_torch_LIBRARY:FILEPATH=.*\/second\/lib/);
      fakeLibtorch(real, machine.cached('2.13.0+cpu'), '2.13.0');
      assert.equal(configure(project, { ...machine.env, LIBTORCH: '' }).status, 0);
      assert.match(used(), /LibTorch_torch_LIBRARY:FILEPATH=.*\/cache\/libtorch\//);
    });
  });
});
