// What binding.gyp's action calls: an explicit `node-gyp rebuild`.
'use strict';
const { say } = require('./console.js');
const { buildAddon } = require('./build.js');
const { findLibtorch } = require('./libtorch.js');

async function build() {
  const libtorch = await findLibtorch(say);
  if (!libtorch) throw new Error('no LibTorch was found: run `npx cornernet setup`, or set LIBTORCH');
  await buildAddon(libtorch);
}

build().catch((error) => {
  say(error.message);
  process.exitCode = 1;
});
