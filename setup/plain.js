// Text from anywhere, made fit to be read on a terminal: used by the set-up, which runs before anything is compiled, and by lib/terminal.ts.
'use strict';

/** What moves a terminal's cursor, colours it, ends its lines or turns its writing round. */
// eslint-disable-next-line no-control-regex -- they are what it is about
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

function spellOut(text) {
  const spelt = (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  };
  return text.replace(HIDDEN, spelt);
}

/** Text from anywhere as people may see it: what is hidden is spelt out, and a further line is indented, so that none passes for one of ours. */
function plain(text) {
  return spellOut(text).replace(/\n(?=.)/g, '\n  ');
}

module.exports = { plain, spellOut };
