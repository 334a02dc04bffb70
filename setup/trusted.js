// What is run and loaded: nothing that lies in the current folder by chance, nothing that everybody on the machine can change.
'use strict';
const { accessSync, constants, mkdtempSync, realpathSync, rmSync, statSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { delimiter, dirname, isAbsolute, join, resolve } = require('node:path');

const WORLD_WRITABLE = 0o002;
const STICKY = 0o1000;

function modeOf(path) {
  try {
    return statSync(path).mode;
  } catch {
    return 0; // it isn't there, or is nobody's to see
  }
}

/** A folder above in which everybody may rename what is in it; a sticky one, as /tmp, protects that. */
function openAbove(path) {
  const above = dirname(path);
  if (above === path) return undefined;
  const mode = modeOf(above);
  return mode & WORLD_WRITABLE && !(mode & STICKY) ? above : openAbove(above);
}

/** @returns {string | undefined} the file or folder by whose mode everybody can change `path`, what it links to, or what is in it */
function openToAll(path) {
  const absolute = resolve(path);
  if (modeOf(absolute) & WORLD_WRITABLE) return absolute;
  const above = openAbove(absolute);
  if (above !== undefined) return above;
  try {
    return openAbove(realpathSync(absolute));
  } catch {
    return undefined; // it isn't there
  }
}

/** Folders of the PATH in which no program is looked for. */
function openFolders() {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => isAbsolute(folder) && openToAll(folder) !== undefined);
}

/** PATH without what is relative, which is wherever one happens to be, and without what everybody can write to. */
function trustedPath() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.filter((folder) => isAbsolute(folder) && openToAll(folder) === undefined).join(delimiter);
}

/** @returns {string | undefined} where a program is, be it named or given by its whole path */
function findProgram(program) {
  if (program === process.execPath) return program; // it runs already
  const paths = program.includes('/') ? [program] : trustedPath().split(delimiter).map((folder) => join(folder, program)); // prettier-ignore
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return isAbsolute(path) && statSync(path).isFile() && openToAll(path) === undefined;
    } catch {
      return false;
    }
  });
}

let folder;

/** A folder of this process alone, gone when it ends: programs run there, because some take what they find where they are. */
function privateFolder() {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), 'cornernet-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  return folder;
}

module.exports = { findProgram, openFolders, openToAll, privateFolder, trustedPath };
