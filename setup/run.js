// Running other programs during the set-up.
'use strict';
const { spawn } = require('node:child_process');

const { findProgram, privateFolder, trustedPath } = require('./trusted.js');

/** A failure that the user can do something about: shown as its sentence alone. */
class SetupError extends Error {
  code = 'ERR_SETUP';
}

/**
 * Runs a program to its end, unless told otherwise in a folder where nobody has put anything.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options]
 * @returns {Promise<{ code: number, output: string }>} code 127 when there is no such program
 */
function run(program, args, { cwd = privateFolder(), env = process.env, onLine } = {}) {
  const path = findProgram(program);
  if (path === undefined)
    return Promise.resolve({ code: 127, output: `there is no ${program} on the PATH, of what only some can write to` });
  return new Promise((resolve) => {
    const child = spawn(path, args, { cwd, env: { ...env, PATH: trustedPath() }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (chunk) => {
      output += chunk;
      if (onLine) for (const line of String(chunk).split(/[\r\n]+/)) if (line.trim()) onLine(line.trim());
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => resolve({ code: 127, output: String(error.message) }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** Runs a program that must succeed; its whole output is in the error when it doesn't. */
async function must(program, args, options) {
  const { code, output } = await run(program, args, options);
  if (code !== 0)
    throw new SetupError(
      `${program} ${args.slice(0, 3).join(' ')} ... failed (exit code ${code}):\n${output.split('\n').slice(-40).join('\n')}`,
    );
  return output;
}

module.exports = { run, must, SetupError };
