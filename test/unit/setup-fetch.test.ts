// Fetching LibTorch: what an interrupted or damaged one leaves, and unpacking it.
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { unzip } from '../../lib/unzip.js';
import { root } from '../environment.js';
import { until } from '../support/batch.js';
import { cornernet, untilTestEnds } from '../support/child.js';
import { eachOnAMachine, type FakeMachine } from '../support/fake-machine.js';
import { file, serve, stallAfter } from '../support/flaky-server.js';

describe('fetching LibTorch', function () {
  this.timeout(120_000);
  let machine: FakeMachine;
  eachOnAMachine((made) => (machine = made));

  const kept = (): string[] => {
    const folder = join(machine.folder, 'cache', 'libtorch');
    return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.unpacking')) : [];
  };
  const fetching = `setup('fetch').fetchLibtorch('cpu')`;

  it('a set-up that is killed leaves nothing half-made, and the next one goes on', async () => {
    const archive = archiveOf({ 'libtorch/include/random.h': randomBytes(400_000) });
    const halfway = Math.floor(archive.length / 2);
    await using stalling = await serve(stallAfter(archive, halfway));
    machine.env['CORNERNET_LIBTORCH_URL'] = `${stalling.url}/libtorch.zip`;
    const script = `require('./setup/fetch.js').fetchLibtorch('cpu')`;
    const child = untilTestEnds(spawn(process.execPath, ['-e', script], { cwd: root, env: machine.env, stdio: 'ignore' }));
    const partial = join(machine.folder, 'cache', 'partial', '2.13.0+cpu');
    const came = (): number =>
      Math.max(0, ...(existsSync(partial) ? readdirSync(partial) : []).map((name) => statSync(join(partial, name)).size));
    await until(() => came() >= halfway, 'half of it');
    child.kill('SIGKILL');
    await new Promise((resolve) => child.on('close', resolve));
    assert.deepEqual(kept(), []);

    await using server = await serve(file(archive));
    machine.env['CORNERNET_LIBTORCH_URL'] = `${server.url}/libtorch.zip`;
    const ended = await machine.run(`return ${fetching}`);
    assert.equal(server.requests[0]?.range, `bytes=${halfway}-`);
    // It arrived whole and was unpacked; that it is no LibTorch is found by loading it, and it is not kept.
    assert.match(ended.stdout, /the LibTorch that was fetched can't be loaded: .*libc10\.so is missing/);
    assert.deepEqual(kept(), []);
  });

  it('refuses an archive with another checksum, and says what else can be done', async () => {
    await using server = await serve(file(archiveOf({ 'libtorch/include/a.h': Buffer.from('a') })));
    machine.env['CORNERNET_LIBTORCH_URL'] = `${server.url}/libtorch.zip`;
    machine.env['CORNERNET_LIBTORCH_SHA256'] = '0'.repeat(64);
    const ended = await machine.run(`return ${fetching}`);
    assert.match(ended.stdout, /has the sha256 [0-9a-f]{64}, not 0{64} \(CORNERNET_LIBTORCH_URL names another place/);
    assert.equal(ended.code, 1);
  });

  it('says that its place can not be written', async () => {
    machine.env['CORNERNET_CACHE'] = join(machine.folder, 'bin', 'python3');
    const { code, stderr } = await cornernet(['setup', '--libtorch', 'cpu'], { env: machine.env });
    assert.equal(code, 1);
    assert.match(stderr, /^ERR_WRITE: .*python3.* can't be written: ENOTDIR/m);
  });

  it('unpacks what is wanted, of stored and of compressed files, and refuses a damaged archive', async () => {
    const { folder } = machine;
    const content = {
      'libtorch/lib/a.so': randomBytes(300_000),
      'libtorch/include/deep/er/b.h': Buffer.alloc(200_000, 'b'),
      'libtorch/c.py': Buffer.from('c'),
    };
    const archive = archiveOf(content);
    const zip = join(folder, 'archive.zip');
    writeFileSync(zip, archive);
    await unzip(zip, join(folder, 'out'), (name) => !name.endsWith('.py'));
    assert.deepEqual(readFileSync(join(folder, 'out', 'libtorch/lib/a.so')), content['libtorch/lib/a.so']);
    assert.deepEqual(readFileSync(join(folder, 'out', 'libtorch/include/deep/er/b.h')), content['libtorch/include/deep/er/b.h']);
    assert.ok(!existsSync(join(folder, 'out', 'libtorch/c.py')));
    const at = archive.indexOf(content['libtorch/lib/a.so'].subarray(1000, 1016));
    archive.writeUInt8(archive.readUInt8(at) ^ 1, at);
    writeFileSync(zip, archive);
    await assert.rejects(
      unzip(zip, join(folder, 'damaged'), () => true),
      /a\.so is damaged: its checksum differs/,
    );
    writeFileSync(zip, archive.subarray(0, archive.length / 2));
    await assert.rejects(
      unzip(zip, join(folder, 'cut'), () => true),
      /end of central directory/i,
    );
  });

  /** A zip archive; the official one's libraries are too large to pack here. */
  function archiveOf(content: Record<string, Buffer>): Buffer {
    const source = join(machine.folder, 'archive');
    for (const [name, bytes] of Object.entries(content)) {
      mkdirSync(dirname(join(source, name)), { recursive: true });
      writeFileSync(join(source, name), bytes);
    }
    spawnSync('cmake', ['-E', 'tar', 'cf', '../archive.zip', '--format=zip', 'libtorch'], { cwd: source });
    return readFileSync(join(machine.folder, 'archive.zip'));
  }
});
