// The addon from a platform package (cornernet-linux-x64-cpu and its like), put where a built one would be.
'use strict';
const { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } = require('node:fs');
const { dirname, join } = require('node:path');

const { addonPath, isClone, root } = require('./paths.js');

function manifest(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/**
 * The installed package whose addon is this version's and was built against such a LibTorch.
 * @param {{ version: string, variant: string }} libtorch
 * @returns {string | undefined} the addon's path
 */
function prebuiltFor({ version, variant }) {
  if (isClone) return undefined;
  let path;
  try {
    path = require.resolve(`${packageName(variant)}/package.json`, { paths: [root] });
  } catch {
    return undefined;
  }
  const minor = (text) => text.split('.').slice(0, 2).join('.');
  const made = manifest(path);
  const fits = made.version === manifest(join(root, 'package.json')).version && minor(made.libtorch) === minor(version);
  return fits ? join(dirname(path), 'cornernet.node') : undefined;
}

function packageName(variant) {
  return `cornernet-linux-${process.arch}-${variant}`;
}

/**
 * Its run path is `$ORIGIN/libtorch/lib`, so that a link beside it says which LibTorch it loads. A copy, because a package manager may share the
 * packages' files among projects.
 */
function placePrebuilt(addon, libtorch) {
  const folder = dirname(addonPath('cornernet'));
  mkdirSync(folder, { recursive: true });
  const aside = join(folder, `.${process.pid}`);
  rmSync(aside, { force: true });
  symlinkSync(libtorch.folder, aside);
  renameSync(aside, join(folder, 'libtorch'));
  copyFileSync(addon, aside);
  renameSync(aside, addonPath('cornernet'));
}

module.exports = { packageName, placePrebuilt, prebuiltFor };
