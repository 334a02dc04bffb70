// Compiles TypeScript of ours to CommonJS. What the package depends on stays outside; anything else is bundled, tree-shaken.
'use strict';
const { builtinModules } = require('node:module');
const { join } = require('node:path');

const { rolldown } = require('rolldown');

const { dependencies, peerDependencies } = require(join(__dirname, '..', 'package.json'));
const external = [...Object.keys({ ...dependencies, ...peerDependencies }), ...builtinModules];

function isExternal(id) {
  return id.startsWith('node:') || external.some((name) => id === name || id.startsWith(`${name}/`));
}

/** Rolldown's outputs of `input`, written as its `output` says. */
async function bundle(input, output) {
  const build = await rolldown({ input, external: isExternal, platform: 'node', tsconfig: false, transform: { target: 'es2022' } });
  const written = await build.write({ ...output, format: 'cjs' });
  await build.close();
  return written.output;
}

module.exports = { bundle };
