// All that the package needs to run: a LibTorch and the addon for it. `cornernet setup`, a clone's set-up and the install script call it.
'use strict';
const { addonRecord, buildAddon, forgetAddon, identityOf, writeRecord } = require('./build.js');
const { say } = require('./console.js');
const { fetchLibtorch } = require('./fetch.js');
const { addonPath } = require('./paths.js');
const { makePlan } = require('./plan.js');
const { placePrebuilt } = require('./prebuilt.js');
const { run, SetupError } = require('./run.js');

/** Loads the addon in a process of its own, every symbol bound. @returns {Promise<string | undefined>} why it can't be */
async function obstacleToAddon() {
  const env = { ...process.env, NODE_OPTIONS: '', LD_BIND_NOW: '1' };
  const { code, output } = await run(process.execPath, ['-e', `require(${JSON.stringify(addonPath('cornernet'))}).buildInfo()`], { env });
  if (code === 0) return undefined;
  return /^Error: (.*)$/m.exec(output)?.[1] ?? `loading it ended with exit code ${code}: ${output.slice(-300).trim()}`;
}

/** @returns {Promise<boolean>} whether anything had to be done */
async function place(prebuilt, libtorch) {
  const key = JSON.stringify([prebuilt, identityOf(prebuilt), libtorch.folder]);
  if (addonRecord()?.key === key) return false;
  placePrebuilt(prebuilt, libtorch);
  writeRecord('prebuilt', key, libtorch, ['cornernet']);
  return true;
}

/**
 * @param {import('./plan.js').Plan} plan
 * @param {{ testing?: boolean }} [options] as buildAddon's
 * @returns {Promise<string | undefined>} what was done; undefined when nothing had to be
 */
async function carryOut(plan, { testing } = {}) {
  const libtorch = plan.libtorch ?? (await fetchLibtorch(plan.fetch));
  const changed = plan.prebuilt ? await place(plan.prebuilt, libtorch) : await buildAddon(libtorch, { ...plan, testing });
  if (!changed) return undefined;
  const obstacle = await obstacleToAddon();
  if (obstacle === undefined)
    return `${plan.prebuilt ? 'The prebuilt addon is in place' : 'The addon is built'} for LibTorch ${describe(libtorch)}`;
  forgetAddon();
  if (!plan.prebuilt) throw new SetupError(`the addon that was built can't be loaded: ${obstacle}`);
  say(`the prebuilt addon ${plan.prebuilt} can't be loaded, so one is built: ${obstacle}`);
  return carryOut(await makePlan({ libtorch: libtorch.folder, source: true }), { testing });
}

function describe({ version, variant, folder }) {
  return `${version}${variant === 'cpu' ? '' : ` (${variant})`} at ${folder}`;
}

/**
 * @param {{ testing?: boolean, source?: boolean, libtorch?: string }} [options] as makePlan's and buildAddon's
 * @returns {Promise<string | undefined>} what was done; undefined when all was in place
 */
async function setUp({ testing, source, libtorch } = {}) {
  const plan = await makePlan({ libtorch, source, tell: say });
  if (plan.fetch) say(`LibTorch: taking the ${plan.fetch} build: ${plan.reason}`);
  const done = await carryOut(plan, { testing });
  if (plan.unused) say(`Note: ${plan.unused}`);
  return done;
}

module.exports = { carryOut, setUp };
