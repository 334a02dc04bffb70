// The machines that the native addon runs on.
'use strict';

/** The oldest glibc that LibTorch's own builds run with. */
const OLDEST_GLIBC = [2, 28];

/** Why the addon can't run on this machine; undefined where it can. */
function foreign() {
  const needs = `the native addon runs on Linux on x86-64 with glibc ${OLDEST_GLIBC.join('.')} or newer`;
  if (process.platform !== 'linux' || process.arch !== 'x64') return `${needs}: this is ${process.platform} on ${process.arch}`;
  const { report } = process;
  report.excludeNetwork = true; // of Node 22 and newer: names of hosts may take their time
  const glibc = report.getReport().header.glibcVersionRuntime;
  if (glibc === undefined) return `${needs}: this system has another C library, as Alpine Linux does; use one with glibc, such as Debian`;
  const [major, minor] = glibc.split('.').map(Number);
  const isOlder = major < OLDEST_GLIBC[0] || (major === OLDEST_GLIBC[0] && minor < OLDEST_GLIBC[1]);
  return isOlder ? `${needs}: this system has ${glibc}` : undefined;
}

module.exports = { foreign, OLDEST_GLIBC };
