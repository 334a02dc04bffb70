// What is there of an unfinished download: one process's at a time, and another's once that is gone.
'use strict';
const { existsSync } = require('node:fs');
const { readdir, rename, rm, stat } = require('node:fs/promises');
const { hostname } = require('node:os');
const { basename, dirname, join } = require('node:path');

let claims = 0;

/** The names of a file's parts: `<file>.part` belongs to nobody, `<file>.part-<host>-<process>-<number>` to a process. */
function ownerOf(file, name) {
  const claimed = `${basename(file)}.part-${hostname()}-`;
  const owner = name.startsWith(claimed) ? /^(\d+)-\d+$/.exec(name.slice(claimed.length)) : null;
  return owner ? Number(owner[1]) : undefined;
}

function isAlive(pid) {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

function sizeOf(file) {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/** A part of this process's own: the longest that nobody works on, or none yet. @returns {Promise<string>} its path */
async function claimPart(file) {
  const folder = dirname(file);
  const own = `${file}.part-${hostname()}-${process.pid}-${++claims}`;
  const left = (await readdir(folder)).filter((name) => {
    const owner = ownerOf(file, name);
    return name === `${basename(file)}.part` || (owner !== undefined && !isAlive(owner));
  });
  const sized = await Promise.all(left.map(async (name) => ({ path: join(folder, name), size: await sizeOf(join(folder, name)) })));
  sized.sort((a, b) => b.size - a.size);
  for (const { path } of sized) {
    // Whoever renames it has it: of several processes one.
    if (existsSync(own)) await rm(path, { force: true });
    else await rename(path, own).catch(() => undefined);
  }
  return own;
}

/** Leaves what came for whoever goes on. */
async function leavePart(file, own) {
  await rename(own, `${file}.part`).catch(() => undefined);
}

module.exports = { claimPart, leavePart, sizeOf };
