// The package's install script: builds when everything needed is here, uses no network, never fails the installation.
'use strict';
const { say } = require('./console.js');
const { buildAddon, missingTools } = require('./build.js');
const { findLibtorch } = require('./libtorch.js');

async function install() {
  const remedy = 'run `npx cornernet setup`, which finds or fetches LibTorch and builds the addon';
  if (process.platform !== 'linux' || process.arch !== 'x64') return say('cornernet: its native addon is built for Linux on x86-64 only');
  const libtorch = await findLibtorch();
  if (!libtorch) return say(`cornernet: no LibTorch was found, so the native addon is not built yet: ${remedy}`);
  const missing = await missingTools();
  if (missing) return say(`cornernet: ${missing}, so the native addon is not built yet: ${remedy}`);
  await buildAddon(libtorch);
}

install().catch((error) =>
  say(`cornernet: the native addon was not built: ${String(error.message).split('\n')[0]}; run \`npx cornernet setup\` to see why`),
);
