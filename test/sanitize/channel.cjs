// Drives a channel (channel.cpp) from everywhere at once: calls, cancelling, closing, worker threads that are terminated, and the process's end.
//   node channel.cjs path/to/channel.node
'use strict';
const assert = require('node:assert');
const { Worker, isMainThread } = require('node:worker_threads');

const { open } = require(process.argv[2]);
const kinds = ['submit', 'inTwo', 'aside'];

/** Every call settles: with its steps, or with ERR_CLOSED. */
async function settle(calls) {
  const outcomes = { done: 0, closed: 0 };
  for (const [steps, { status, value, reason }] of calls) {
    if (status === 'fulfilled') assert.equal(value, steps);
    else assert.equal(reason.code, 'ERR_CLOSED');
    outcomes[status === 'fulfilled' ? 'done' : 'closed'] += 1;
  }
  return outcomes;
}

async function calls(channel, count, { cancel = 0 } = {}) {
  const waiting = Array.from({ length: count }, async (_, id) => {
    const steps = (id * 37) % 500;
    const call = channel[kinds[id % 3]](id, steps);
    if (cancel > 0 && id % cancel === 0) setImmediate(() => channel.cancel(id));
    return [steps, (await Promise.allSettled([call]))[0]];
  });
  return settle(await Promise.all(waiting));
}

async function main() {
  const channel = open();
  assert.deepEqual(await calls(channel, 300), { done: 300, closed: 0 });
  const { done, closed } = await calls(channel, 300, { cancel: 2 });
  assert.equal(done + closed, 300);
  const last = calls(channel, 60);
  await Promise.all([channel.close(), channel.close()]);
  assert.equal((await last).done + (await last).closed, 60);
  await assert.rejects(channel.submit(1, 1), { code: 'ERR_CLOSED' });
  const workers = Array.from({ length: 3 }, () => new Worker(__filename, { argv: [process.argv[2]] }));
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  await Promise.all(workers.map((worker) => worker.terminate()));
  calls(open(), 60); // the process ends in the middle of them
  console.log('the channel held');
  process.exit(0);
}

function busy() {
  const channel = open();
  calls(channel, 1000, { cancel: 3 }).catch(() => undefined);
  setTimeout(() => require('node:worker_threads').parentPort.postMessage('busy'), 20);
}

if (isMainThread) main();
else busy();
