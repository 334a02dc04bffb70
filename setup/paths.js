// Where the package is, where its addon goes, and where all that is fetched is kept.
'use strict';
const { existsSync } = require('node:fs');
const { homedir } = require('node:os');
const { isAbsolute, join } = require('node:path');

const root = join(__dirname, '..');
/** Whether this is the repository, or a copy of it: it builds its own sources. */
const isClone = existsSync(join(root, 'lib', 'index.ts'));

function addonPath(name) {
  return join(root, 'build', 'Release', `${name}.node`);
}

/** `$CORNERNET_CACHE`, else `cornernet` in the XDG cache folder, whose specification ignores relative ones. @throws {Error} of code ERR_OPTION */
function cacheFolder() {
  const { CORNERNET_CACHE: chosen, XDG_CACHE_HOME: xdg } = process.env;
  if (!chosen) return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'cornernet');
  if (isAbsolute(chosen)) return chosen;
  throw Object.assign(new Error(`CORNERNET_CACHE is ${chosen}: it must be an absolute path, or it is another folder wherever one is`), {
    code: 'ERR_OPTION',
  });
}

module.exports = { addonPath, cacheFolder, isClone, root };
