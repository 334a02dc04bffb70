// What binding.gyp's action calls: an explicit `node-gyp rebuild`.
'use strict';
const { buildAddon } = require('./build.js');
const { say } = require('./console.js');
const { makePlan } = require('./plan.js');

async function build() {
  const plan = await makePlan({ source: true, tell: say });
  if (plan.fetch) throw new Error('no LibTorch was found: run `npx cornernet setup`, or set LIBTORCH');
  await buildAddon(plan.libtorch, plan);
}

build().catch((error) => {
  say(error.message);
  process.exitCode = 1;
});
