// A digest that was seen once is held ever after: beside what was fetched lies its whole sha256, in sha256sum's own form.
'use strict';
const { existsSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const { basename } = require('node:path');

const pinOf = (file) => `${file}.sha256`;

/** @returns {string | undefined} the whole sha256 that a file had when it was fetched first; '' where what lies beside it holds none */
function pinnedDigest(file) {
  if (!existsSync(pinOf(file))) return undefined;
  const [, digest = ''] = /^\\?(?:SHA256 \(.*\) = )?([0-9a-f]{64})\b/i.exec(readFileSync(pinOf(file), 'utf8')) ?? [];
  return digest.toLowerCase();
}

/** @returns {string | undefined} why a digest is not the one that was seen first, if one was */
function pinChange(file, digest) {
  const pinned = pinnedDigest(file);
  if (pinned === '') return `${pinOf(file)} holds no sha256 as sha256sum writes it: to go on without, remove it`;
  if (pinned !== undefined && pinned !== digest)
    return `it has the sha256 ${digest}, and had ${pinned} when it was first fetched here: to accept the change, remove ${pinOf(file)}`;
  return undefined;
}

/** @returns {string | undefined} as pinChange; where none was seen, it is from now on */
function holdPin(file, digest) {
  if (pinnedDigest(file) !== undefined) return pinChange(file, digest);
  const aside = `${pinOf(file)}.${process.pid}`;
  writeFileSync(aside, `${digest}  ${basename(file)}\n`);
  renameSync(aside, pinOf(file));
  return undefined;
}

module.exports = { holdPin, pinChange, pinnedDigest };
