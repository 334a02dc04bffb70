// Gives `await using` its symbol in contexts of their own (Jest, Vitest's vmThreads), whose `Symbol` has it from Node 24 on only.
const symbols = Symbol as { asyncDispose?: symbol };
symbols.asyncDispose ??= Symbol.for('Symbol.asyncDispose');
export {};
