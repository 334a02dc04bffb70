// The machines that the native addon runs on.
'use strict';

/** Node's names of the processors, and the usual ones. */
const PROCESSORS = { x64: 'x86-64', arm64: 'ARM64' };

/** The oldest glibc that LibTorch's own builds run with. */
const OLDEST_GLIBC = [2, 28];

/** Undefined with another C library. */
function runningGlibc() {
  const { report } = process;
  const { excludeNetwork } = report;
  report.excludeNetwork = true; // heeded by Node 22 and newer: the names of hosts may take their time
  const { header } = report.getReport();
  report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime;
}

/** Why the addon can't run on this machine; undefined where it can. */
function foreign() {
  const needs = `the native addon runs on Linux on ${Object.values(PROCESSORS).join(' or ')} with glibc ${OLDEST_GLIBC.join('.')} or newer`;
  if (process.platform !== 'linux' || !Object.hasOwn(PROCESSORS, process.arch))
    return `${needs}: this is ${process.platform} on ${process.arch}`;
  const glibc = runningGlibc();
  if (glibc === undefined) return `${needs}: this system has another C library, as Alpine Linux does; use one with glibc, such as Debian`;
  const [major, minor] = glibc.split('.').map(Number);
  const isOlder = major < OLDEST_GLIBC[0] || (major === OLDEST_GLIBC[0] && minor < OLDEST_GLIBC[1]);
  return isOlder ? `${needs}: this system has ${glibc}` : undefined;
}

module.exports = { foreign, OLDEST_GLIBC, PROCESSORS };
