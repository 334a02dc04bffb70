// Where the package is, where its addon goes, and where the set-up keeps what it fetches: the same folder that lib/weights/cache.ts names.
'use strict';
const { existsSync } = require('node:fs');
const { homedir } = require('node:os');
const { join } = require('node:path');

const root = join(__dirname, '..');
/** Whether this is the repository, or a copy of it: it builds its own sources. */
const isClone = existsSync(join(root, 'lib', 'index.ts'));

function addonPath(name) {
  return join(root, 'build', 'Release', `${name}.node`);
}

function cacheFolder() {
  return process.env.CORNERNET_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cornernet');
}

module.exports = { addonPath, cacheFolder, isClone, root };
