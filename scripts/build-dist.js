// Compiles lib/ into dist/: CommonJS by tsc, and a wrapper for ESM, so that both share one instance of everything.
'use strict';
const { spawnSync } = require('node:child_process');
const { chmodSync, copyFileSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');
const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
const names = Object.keys(require(join(dist, 'index.js')));
writeFileSync(join(dist, 'index.mjs'), `import api from './index.js';\nexport const { ${names.join(', ')} } = api;\n`);
copyFileSync(join(dist, 'index.d.ts'), join(dist, 'index.d.mts'));
chmodSync(join(dist, 'cli.js'), 0o755);
