// npx tsx bench/import.ts: what loading the package costs beside Node's own start. Needs a built dist/.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { root } from '../test/environment.js';
import { run, type Turn } from './harness.js';

const doors = ['cornernet', 'cornernet/jobs', 'cornernet/coco'];

async function turn(door: string | undefined): Promise<Turn> {
  const script = `const before = process.moduleLoadList.length, begin = performance.now();
    ${door === undefined ? '' : `require('${door}');`}
    const seconds = (performance.now() - begin) / 1000;
    console.log(seconds, Object.keys(require.cache).length, process.moduleLoadList.length - before);`;
  const begin = performance.now();
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { cwd: root });
  const seconds = (performance.now() - begin) / 1000;
  const [requireSeconds = NaN, modules = NaN, builtinModules = NaN] = stdout.split(' ').map(Number);
  return { seconds, requireSeconds, modules, builtinModules };
}

void run({
  kind: 'import',
  insideTheClock:
    'a process from its start to its exit, which requires one of the package’s doors, or nothing; of it, the require alone. ' +
    'Modules: the files that were loaded, of any package, and the builtin ones of Node that they bring. The files are in the page cache.',
  options: {},
  rounds: 15,
  warmUpRounds: 2,
  prepare: () => ({
    cases: {
      require: () => ({
        setting: 'CommonJS',
        candidates: Object.fromEntries(
          ['node', ...doors].map((name, i) => [name, () => ({ turn: () => turn(i === 0 ? undefined : name) })]),
        ),
        against: doors.map((door) => ({ what: 'speed' as const, ours: door, peers: ['node'] })),
      }),
    },
  }),
});
