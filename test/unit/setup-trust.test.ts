// What the set-up and doctor run and load: nothing that somebody planted in the current folder or where everybody can write, and no wheel or archive but
// by its digest.
import { strict as assert } from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from '../environment.js';
import { cornernet, type Ended } from '../support/child.js';
import { builtAgainst, eachOnAMachine, fakeLibtorch, type FakeMachine } from '../support/fake-machine.js';
import { file, serve } from '../support/flaky-server.js';

const names = ['libc10.so', 'libtorch_cpu.so', 'libtorch.so'];

describe('what the set-up trusts', function () {
  this.timeout(120_000);
  let real: string;
  let machine: FakeMachine;
  /** Where its user happens to be. */
  let here: string;
  let mark: string;
  before(async () => {
    real = await builtAgainst();
  });
  eachOnAMachine((made) => {
    machine = made;
    here = join(machine.folder, 'here');
    mark = join(machine.folder, 'executed');
    mkdirSync(here);
  });

  /** Leaves a mark wherever it is loaded. */
  function library(at: string): void {
    const source = join(machine.folder, 'mark.c');
    writeFileSync(source, `#include <stdio.h>\n__attribute__((constructor)) void mark(void) { fclose(fopen("${mark}", "w")); }\n`);
    execFileSync('cc', ['-shared', '-fPIC', '-o', at, source]);
  }

  /** A LibTorch by its headers and names, whose libraries leave the mark, and a Python package that does. */
  function plant(at: string): string {
    fakeLibtorch(real, at, '2.13.0');
    for (const name of names) {
      rmSync(join(at, 'lib', name));
      library(join(at, 'lib', name));
    }
    writeFileSync(join(at, '__init__.py'), `open(${JSON.stringify(mark)}, 'w').close()\n`);
    return at;
  }

  const plan = (options = '{}'): Promise<Ended> =>
    machine.run(`process.chdir(${JSON.stringify(here)}); return setup('plan').makePlan(${options})`);

  it('executes no torch, pip or program that lies in the current folder', async () => {
    plant(join(here, 'torch'));
    plant(join(here, 'libtorch'));
    writeFileSync(join(here, 'pip.py'), `open(${JSON.stringify(mark)}, 'w').close()\n`);
    for (const name of ['cmake', 'nvcc', 'nvidia-smi', 'ninja'])
      writeFileSync(join(here, name), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
    machine.program('python3', `exec ${realPython()} "$@"`);
    Object.assign(machine.env, { PATH: `.::${machine.env['PATH'] ?? ''}`, PYTHONPATH: here, NODE_OPTIONS: '' });
    const { stdout } = await cornernet(['doctor'], { cwd: here, env: machine.env });
    assert.match(stdout, /LibTorch/);
    assert.match((await plan()).stdout, /"fetch":"cpu"/);
    machine.env['HTTPS_PROXY'] = 'http://127.0.0.1:9';
    machine.env['PIP_NO_INDEX'] = '1';
    machine.env['PIP_CONFIG_FILE'] = '/dev/null';
    const fetched = await machine.run(`process.chdir(${JSON.stringify(here)}); return setup('fetch').fetchLibtorch('cpu')`);
    assert.match(fetched.stderr + fetched.stdout, /pip has no torch==2\.13\.0\+cpu/);
    for (const name of ['libtorch', '.']) {
      machine.env['LIBTORCH'] = name;
      assert.match((await plan()).stdout, /^LIBTORCH names .*, which is neither a build \(cpu, cu126, cu130\) nor an absolute path\n$/);
    }
    delete machine.env['LIBTORCH'];
    assert.match((await plan(`{ libtorch: 'libtorch' }`)).stdout, /neither a build .* nor a path that begins with \/ or \.\//);
    machine.env['CORNERNET_CACHE'] = 'cache';
    assert.match(
      (await cornernet(['doctor'], { cwd: here, env: machine.env })).stderr,
      /^ERR_OPTION: CORNERNET_CACHE is cache: it must be an absolute path/,
    );
    assert.ok(!existsSync(mark));
    // It is what would have been executed: who names it has it.
    delete machine.env['CORNERNET_CACHE'];
    await plan(`{ libtorch: './libtorch' }`);
    assert.ok(existsSync(mark));
  });

  it('executes no program and loads no LibTorch that everybody can write to', async () => {
    const open = join(machine.folder, 'open');
    mkdirSync(join(open, 'bin'), { recursive: true });
    for (const name of ['nvcc', 'cmake', 'nvidia-smi'])
      writeFileSync(join(open, 'bin', name), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
    const torch = plant(join(open, 'torch'));
    machine.setPython(torch);
    const cached = plant(machine.cached('2.13.0+cpu'));
    chmodSync(open, 0o777);
    chmodSync(join(cached, 'lib', 'libtorch.so'), 0o646);
    machine.env['PATH'] = `${join(open, 'bin')}:${machine.env['PATH'] ?? ''}`;
    const { stdout } = await machine.run(
      `const heard = []; const { fetch } = await setup('plan').makePlan({ tell: (text) => heard.push(text) }); return { fetch, heard: heard.join('\\n') };`,
    );
    assert.match(stdout, /"fetch":"cpu"/);
    assert.match(stdout, /open\/torch \(Python\): everybody can write to \S*\/open \(chmod o-w\)/);
    assert.match(stdout, /torch \(cache\): everybody can write to \S*\/lib\/libtorch\.so \(chmod o-w\)/);
    machine.env['LIBTORCH'] = torch;
    assert.match(
      (await plan()).stdout,
      /^LIBTORCH names .*\/open\/torch, which can't be used: everybody can write to .*\/open \(chmod o-w\)/,
    );
    delete machine.env['LIBTORCH'];
    machine.env['CORNERNET_CACHE'] = join(open, 'cache');
    const fetched = await machine.run(`return setup('fetch').fetchLibtorch('cpu')`);
    assert.match(
      fetched.stdout,
      /^nothing is fetched into .*\/open\/cache\/libtorch, because everybody can write to .*\/open: chmod o-w, or another CORNERNET_CACHE/,
    );
    machine.program('cmake', 'exit 1');
    machine.env['CORNERNET_CACHE'] = join(machine.folder, 'empty');
    assert.match((await plan()).stdout, /CMake is not installed \(\S*\/open\/bin, to which everybody can write, left out\)/);
    rmSync(join(machine.folder, 'bin', 'cmake'));
    machine.env['CORNERNET_CACHE'] = join(machine.folder, 'cache');
    assert.ok(!existsSync(mark));
    // A sticky folder, as /tmp is, protects what others have in it.
    chmodSync(open, 0o1777);
    assert.match((await plan()).stdout, /"source":"Python"/);
    assert.ok(existsSync(mark));
  });

  it('loads a LibTorch whose path has spaces and colons', async () => {
    const strange = join(machine.folder, 'a b:c;d');
    mkdirSync(strange);
    for (const where of ['LIBTORCH', 'CORNERNET_CACHE']) {
      const at = where === 'LIBTORCH' ? join(strange, 'torch') : join(strange, 'libtorch', '2.13.0+cpu', 'torch');
      fakeLibtorch(real, at, '2.13.0');
      delete machine.env['LIBTORCH'];
      machine.env[where] = where === 'LIBTORCH' ? at : strange;
      const { stdout } = await plan();
      assert.match(stdout, /^\{/, stdout);
      assert.equal((JSON.parse(stdout) as { libtorch?: { folder: string } }).libtorch?.folder, at);
    }
    const broken = join(strange, 'torch', 'lib', 'libtorch.so');
    rmSync(broken);
    writeFileSync(broken, 'no library');
    machine.env['LIBTORCH'] = join(strange, 'torch');
    assert.match((await plan()).stdout, /which can't be used: .*a b:c;d\/torch\/lib\/libtorch\.so/);
  });

  describe('by its digest', () => {
    /** Three libraries that can be loaded and leave the mark, in a zip archive. */
    function archiveOf(top: string): string {
      const source = join(machine.folder, 'archive');
      mkdirSync(join(source, top, 'lib'), { recursive: true });
      for (const name of names) library(join(source, top, 'lib', name));
      spawnSync('cmake', ['-E', 'tar', 'cf', '../made.zip', '--format=zip', top], { cwd: source });
      return join(machine.folder, 'made.zip');
    }
    const fetchIt = async (): Promise<string> => {
      const { stdout, stderr } = await machine.run(`return setup('fetch').fetchLibtorch('cpu')`);
      return stdout + stderr;
    };
    const forget = (): void => rmSync(join(machine.folder, 'cache', 'libtorch', '2.13.0+cpu'), { recursive: true });

    it("takes pip's wheel by the sha256 that its report has, and holds it", async () => {
      const wheel = archiveOf('torch');
      const named = 'torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl';
      const digest = (execFileSync('sha256sum', [wheel], { encoding: 'utf8' }).split(' ')[0] ?? '').trim();
      const asked = join(machine.folder, 'asked');
      // A pip that knows a wheel, and like the real one takes no other digest than is asked for.
      machine.program(
        'python3',
        `echo "$@" >> ${asked}
[ "$1 $2" = "-I -c" ] && exit 0
case "$*" in
*" install "*)
  while [ "$1" != "--report" ]; do shift; done
  echo '{"install":[{"download_info":{"archive_info":{"hashes":{"sha256":"${digest}"}}}}]}' > "$2";;
*" download "*)
  for list; do :; done
  grep -q "^torch==2.13.0+cpu --hash=sha256:${digest}$" "$list" || exit 1
  while [ "$1" != "-d" ]; do shift; done
  cp ${wheel} "$2/${named}";;
esac`,
      );
      assert.match(await fetchIt(), new RegExp(`"source":"cache"[^]*has the sha256 ${digest}, which is held from now on`));
      const calls = readFileSync(asked, 'utf8').trim().split('\n');
      assert.ok(
        calls.every((call) => call.startsWith('-I ')),
        calls.join('\n'),
      );
      assert.match(calls.at(-1) ?? '', / download .*--require-hashes/);
      forget();
      assert.doesNotMatch(await fetchIt(), /held from now on/);
      forget();
      const pin = join(machine.folder, 'cache', 'libtorch', `${named}.sha256`);
      writeFileSync(pin, `${'0'.repeat(64)}  ${named}\n`);
      assert.ok(existsSync(mark));
      rmSync(mark);
      assert.match(
        await fetchIt(),
        /has the sha256 .* and had 0{64} when it was first fetched here: to accept the change, remove .*\.whl\.sha256/,
      );
      assert.ok(!readdirSync(join(machine.folder, 'cache', 'libtorch')).includes('2.13.0+cpu') && !existsSync(mark));
    });

    it('holds the archive, whose digest nobody states, and unpacks what everybody can read and nobody else can write', async () => {
      await using server = await serve(file(readFileSync(archiveOf('libtorch'))));
      machine.env['CORNERNET_LIBTORCH_URL'] = `${server.url}/libtorch.zip`;
      const asked = join(machine.folder, 'asked');
      machine.program('python3', `echo "$@" >> ${asked}; exit 1`);
      const before = process.umask(0);
      try {
        assert.match(
          await fetchIt(),
          /"source":"cache"[^]*libtorch-shared-with-deps-2\.13\.0\+cpu\.zip has the sha256 [0-9a-f]{64}, which is held/,
        );
      } finally {
        process.umask(before);
      }
      // Pip, which would be asked first, is not where the archive's place is named.
      if (existsSync(asked)) assert.doesNotMatch(readFileSync(asked, 'utf8'), / -m pip /);
      const cache = join(machine.folder, 'cache', 'libtorch');
      const modes = ['', '2.13.0+cpu', '2.13.0+cpu/torch/lib', '2.13.0+cpu/torch/lib/libc10.so'].map((path) => statSync(join(cache, path)).mode & 0o777); // prettier-ignore
      assert.deepEqual(modes, [0o755, 0o755, 0o755, 0o644]);
      forget();
      renameSync(join(machine.folder, 'archive'), join(machine.folder, 'former'));
      const added = join(machine.folder, 'archive', 'libtorch', 'include');
      mkdirSync(added, { recursive: true });
      writeFileSync(join(added, 'more.h'), '');
      await using other = await serve(file(readFileSync(archiveOf('libtorch'))));
      machine.env['CORNERNET_LIBTORCH_URL'] = `${other.url}/libtorch.zip`;
      assert.match(await fetchIt(), /has the sha256 [0-9a-f]{64}, not [0-9a-f]{64}.*to accept a change, remove .*\.zip\.sha256/);
      writeFileSync(join(cache, 'libtorch-shared-with-deps-2.13.0+cpu.zip.sha256'), '');
      assert.match(await fetchIt(), /\.zip\.sha256 holds no sha256 .* remove it/);
    });
  });

  /** The interpreter itself, behind whatever chooses among several. */
  function realPython(): string {
    return execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { cwd: root, encoding: 'utf8' }).trim();
  }
});
