// mocha's own spec report, and a last line with its counts in a form that any CI reads.
'use strict';
const { reporters } = require('mocha');

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      process.on('exit', () => console.log(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}`));
    });
  }
};
