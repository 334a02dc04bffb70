// Mocha's own spec report, the suites that took the longest, and a last line with the counts in a form that any CI reads. What a test left running ends
// the tests with a failure that names it, instead of keeping them from their end.
'use strict';
const { reporters } = require('mocha');

const shown = 12;
const patience = 30_000;

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const begun = new Map();
    const taken = [];
    runner.on('suite', (suite) => begun.set(suite, performance.now()));
    runner.on('suite end', (suite) => {
      if (suite.parent?.root) taken.push({ title: suite.title, seconds: (performance.now() - begun.get(suite)) / 1000 });
    });
    runner.once('end', () => {
      const { passes, pending } = this.stats;
      let { failures } = this.stats;
      const longest = taken.sort((a, b) => b.seconds - a.seconds).slice(0, shown);
      setTimeout(() => {
        console.log(`something that a test left is still running: ${process.getActiveResourcesInfo().join(', ')}`);
        failures++;
        process.on('exit', () => (process.exitCode = 1)); // after mocha's own, which knows nothing of this
        process.exit();
      }, patience).unref();
      process.on('exit', () => {
        console.log(`the longest: ${longest.map(({ title, seconds }) => `${title} ${seconds.toFixed(0)} s`).join(', ')}`);
        console.log(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
      });
    });
  }
};
