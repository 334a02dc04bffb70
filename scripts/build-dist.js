// Compiles lib/ into dist/: four doors, the command line, the job's process and the set-up's unzip as CommonJS that share chunks, wrappers for ESM,
// so that both module systems share one instance of everything, and types. What the package needs of its development dependencies is bundled,
// tree-shaken, with its licence.
'use strict';
const { spawnSync } = require('node:child_process');
const { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const { bundle } = require('./bundle.js');

const root = join(__dirname, '..');
const dist = join(root, 'dist');
const doors = ['index', 'jobs', 'coco', 'train'];

function emitTypes() {
  const args = [require.resolve('typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

async function emitCode() {
  const input = {
    ...Object.fromEntries([...doors, 'cli'].map((name) => [name, join(root, 'lib', `${name}.ts`)])),
    child: join(root, 'lib', 'jobs', 'child.ts'),
    unzip: join(root, 'lib', 'unzip.ts'),
  };
  const output = await bundle(input, { dir: dist, chunkFileNames: '[name].js', exports: 'named', comments: { legal: false } });
  return output.flatMap(({ moduleIds = [] }) => moduleIds);
}

/** Name and licence of each package that modules were bundled from. */
function writeLicences(modules) {
  const packages = new Set(modules.map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]).filter(Boolean));
  const texts = [...packages].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^(licen[cs]e|ofl)/i.test(entry));
    return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), 'utf8') : ''}`;
  });
  writeFileSync(join(dist, 'bundled-licences.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}

function writeDoors() {
  for (const door of doors) {
    const names = Object.keys(require(join(dist, `${door}.js`)));
    writeFileSync(join(dist, `${door}.mjs`), `import api from './${door}.js';\nexport const { ${names.join(', ')} } = api;\n`);
    writeFileSync(join(dist, 'types', `${door}.d.mts`), readFileSync(join(dist, 'types', `${door}.d.ts`)));
  }
}

async function build() {
  rmSync(dist, { recursive: true, force: true });
  emitTypes();
  writeLicences(await emitCode());
  writeDoors();
  chmodSync(join(dist, 'cli.js'), 0o755);
}

build().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
