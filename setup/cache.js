// Where the set-up keeps what it fetches: the same folder that lib/cache.ts names.
'use strict';
const { homedir } = require('node:os');
const { join } = require('node:path');

function cacheFolder() {
  return process.env.CORNERNET_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cornernet');
}

module.exports = { cacheFolder };
