// The rule that whatever reads untrusted bytes keeps: they give a value or a CornerNetError with a code, and nothing else.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';

import { CornerNetError } from '../../lib/errors.js';
import { root } from '../environment.js';

/** Seconds that `npm run fuzz` gives each property, with new random inputs; otherwise the same hundred inputs each time. */
const seconds = Number(process.env['CORNERNET_FUZZ_SECONDS'] ?? 0);

/** Text that has a meaning somewhere: to JavaScript, to JSON, to a file system, to a tar file. */
const words = [
  '__proto__',
  'constructor',
  'null',
  '-0',
  '1e999',
  '9007199254740993',
  '\\u0000',
  '../',
  '/',
  '\n',
  '"',
  '[',
  '{',
  '\0',
  '7777777',
  '\u{d800}',
];

const edit = fc.record({
  at: fc.nat(),
  length: fc.oneof(fc.constant(0), fc.nat(8), fc.nat()),
  put: fc.oneof(
    fc.uint8Array({ maxLength: 4 }),
    fc.constantFrom(...words).map((word) => Buffer.from(word)),
  ),
});

function edited(seed: Buffer, edits: readonly { at: number; length: number; put: Uint8Array }[]): Buffer {
  return edits.reduce((bytes, { at, length, put }) => {
    const begin = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, begin), put, bytes.subarray(Math.min(bytes.length, begin + length))]);
  }, seed);
}

/** A JSON value with parts of it replaced: by another part of it, or by anything. */
function changed(seed: unknown, changes: readonly { at: number; to: unknown }[]): unknown {
  const value = structuredClone(seed);
  for (const { at, to } of changes) {
    const places: [Record<string, unknown>, string][] = [];
    const visit = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const key of Object.keys(node)) {
        places.push([node as Record<string, unknown>, key]);
        visit((node as Record<string, unknown>)[key]);
      }
    };
    visit(value);
    const [parent, key] = places[at % Math.max(1, places.length)] ?? [];
    if (parent && key !== undefined) parent[key] = to;
  }
  return value;
}

const anyJson = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(...words), fc.double({ noNaN: true }), fc.maxSafeInteger());

function inputs(seeds: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const json = seeds.flatMap((seed) => {
    try {
      return [JSON.parse(seed.toString()) as unknown];
    } catch {
      return [];
    }
  });
  const nearJson = (): fc.Arbitrary<Buffer> =>
    fc
      .tuple(fc.constantFrom(...json), fc.array(fc.record({ at: fc.nat(), to: anyJson }), { minLength: 1, maxLength: 3 }))
      .map(([seed, changes]) => Buffer.from(JSON.stringify(changed(seed, changes))));
  return fc.oneof(
    fc.uint8Array({ maxLength: 2048 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    {
      weight: 4,
      arbitrary: fc.tuple(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 6 })).map(([seed, edits]) => edited(seed, edits)),
    },
    ...(json.length > 0 ? [{ weight: 4, arbitrary: nearJson() }] : []),
  );
}

async function check(read: (bytes: Buffer) => Promise<unknown>, bytes: Buffer): Promise<void> {
  try {
    await read(bytes);
  } catch (error) {
    if (!(error instanceof CornerNetError) || error.code === 'ERR_INTERNAL' || error.message === '') throw error;
  }
}

/** Tests of `name`: what is kept in test/fuzz/found, and inputs like `seeds`, which are good. Under `npm run fuzz` what breaks it is kept. */
export function holds(name: string, seeds: () => Buffer[], read: (bytes: Buffer) => Promise<unknown>): void {
  const found = join(root, 'test', 'fuzz', 'found', name);
  const keep = (bytes: Buffer): string => {
    mkdirSync(found, { recursive: true });
    const file = join(found, `crash-${createHash('sha1').update(bytes).digest('hex')}`);
    writeFileSync(file, bytes);
    return file;
  };

  describe(`fuzz: ${name}`, function () {
    this.timeout(seconds > 0 ? 0 : 120_000);

    it('reads what is good, and reads or refuses what was found', async () => {
      for (const seed of seeds()) await read(seed);
      for (const file of existsSync(found) ? readdirSync(found) : []) await check(read, readFileSync(join(found, file)));
    });

    it('any bytes give a value or an error with a code', async () => {
      const current = join(root, 'build', 'fuzz', `${name}.current`); // what hung or killed the process; scripts/fuzz.js keeps it
      let last = Promise.resolve();
      const property = fc.asyncProperty(inputs(seeds()), (bytes) => {
        if (seconds > 0) writeFileSync(current, bytes);
        return (last = check(read, bytes));
      });
      const limits =
        seconds > 0
          ? { numRuns: Infinity, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
          : { numRuns: 100, seed: 1 };
      const { failed, counterexample, errorInstance, numRuns } = await fc.check(property, limits);
      let broken = failed && counterexample ? { bytes: counterexample[0], cause: errorInstance } : undefined;
      // When the time is over, fast-check leaves the input that is being read to itself.
      await last.catch((cause: unknown) => (broken ??= { bytes: readFileSync(current), cause }));
      rmSync(current, { force: true });
      if (seconds > 0) console.log(`${numRuns} inputs`);
      if (!broken) return;
      const where = seconds > 0 ? `kept as ${keep(broken.bytes)}` : broken.bytes.toString('base64');
      throw new Error(`an input broke it (${where})`, { cause: broken.cause });
    });
  });
}
