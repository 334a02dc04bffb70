// The package's install script: puts the addon in place when everything needed is here, uses no network, never fails the installation.
'use strict';
const { say } = require('./console.js');
const { isClone } = require('./paths.js');
const { makePlan } = require('./plan.js');
const { foreign } = require('./platform.js');
const { carryOut } = require('./setup.js');

const REMEDY = 'run `npx cornernet setup`, which finds or fetches LibTorch and readies the addon';

async function install() {
  const elsewhere = foreign();
  if (elsewhere) return say(`cornernet: ${elsewhere}`);
  // A clone, also one that npm makes to pack it for somebody who installs from git.
  if (isClone) return say('cornernet: the native addon is built by `npm start`, `npm test` or `npx cornernet setup`');
  const plan = await makePlan();
  if (plan.fetch) return say(`cornernet: no LibTorch was found, so the native addon is not ready yet: ${REMEDY}`);
  await carryOut(plan);
}

install().catch((error) => say(`cornernet: the native addon is not ready yet: ${String(error.message).split('\n')[0]}; ${REMEDY}`));
