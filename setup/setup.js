// All that the package needs to run: a LibTorch and the addon built against it. `cornernet setup` and the clone's set-up call it.
'use strict';
const { say } = require('./console.js');
const { buildAddon } = require('./build.js');
const { ensureLibtorch } = require('./libtorch.js');

/** @param {{ testing?: boolean }} [options] */
async function setUp(options = {}) {
  const libtorch = await ensureLibtorch();
  const built = await buildAddon(libtorch, options);
  if (built) say(`The addon is built against LibTorch ${libtorch.version} (${libtorch.folder})`);
  return libtorch;
}

module.exports = { setUp };
