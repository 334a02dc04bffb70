// How the set-up talks: a line that counts the seconds on a terminal, plain lines elsewhere.
'use strict';
const { plain } = require('./plain.js');

const terminal = process.stderr.isTTY === true;
const PLAIN_EVERY_MS = 15_000;

function say(text) {
  process.stderr.write(`${plain(text)}\n`);
}

/**
 * Runs a long step under a display of its progress.
 * @template T
 * @param {string} title
 * @param {(note: (text: string) => void) => Promise<T>} work calls note() with what it is at
 * @returns {Promise<T>}
 */
async function step(title, work) {
  const started = Date.now();
  let note = '';
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
  const paint = () => process.stderr.write(`\r\x1b[2K${title} ... ${note} ${seconds()}`);
  if (!terminal) say(`${title} ...`);
  const timer = setInterval(terminal ? paint : () => say(`${title} ... ${note} ${seconds()}`), terminal ? 200 : PLAIN_EVERY_MS);
  try {
    const result = await work((text) => (note = plain(text)));
    if (terminal) process.stderr.write('\r\x1b[2K');
    say(`${title}: done in ${seconds()}`);
    return result;
  } catch (error) {
    if (terminal) process.stderr.write('\r\x1b[2K');
    say(`${title}: failed after ${seconds()}`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

module.exports = { say, step };
