// The house's rules about who may know whom, checked on the sources themselves.
import { strict as assert } from 'node:assert';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

import ts from 'typescript';

import { root } from '../environment.js';

interface Source {
  readonly path: string;
  readonly text: string;
}

function sourcesBelow(folder: string, endings: RegExp): Source[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }));
}

const native = sourcesBelow('csrc', /\.(h|cpp|cu|cuh)$/);
const typescript = sourcesBelow('lib', /\.ts$/);

function includesOf({ text }: Source): string[] {
  return [...text.matchAll(/^\s*#include [<"]([^>"]+)[>"]/gm)].map((match) => match[1] ?? '');
}

function room(path: string): string {
  return path.split('/')[1] ?? '';
}

/** The sources that one imports, values and types; `later`: also those that it imports when it needs them. */
function importsOf({ path, text }: Source, later: boolean): string[] {
  const { importedFiles } = ts.preProcessFile(text);
  const own = importedFiles.filter(({ fileName, pos }) => fileName.startsWith('.') && (later || !/import\($/.test(text.slice(0, pos))));
  return own.map(({ fileName }) => join(dirname(path), fileName.replace(/\.js$/, '.ts')));
}

/** All that a source loads with itself. */
function loadedWith(path: string, seen = new Set<string>()): Set<string> {
  const source = typescript.find((one) => one.path === path);
  if (!source || seen.has(path)) return seen;
  seen.add(path);
  for (const next of importsOf(source, false)) loadedWith(next, seen);
  return seen;
}

/** Every way through the imports that comes back to where it began. */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const follow = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(' > '));
    else if (!done.has(path)) for (const next of graph.get(path) ?? []) follow(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) follow(path, []);
  return circles;
}

/** Those that break a rule; empty when all keep it. */
function offenders(sources: Source[], breaks: (source: Source) => boolean): string[] {
  return sources.filter(breaks).map(({ path }) => path);
}

const withoutComments = (text: string): string => text.replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
const isTorch = (include: string): boolean => /^(ATen|torch|c10)\//.test(include);

describe('structure', () => {
  it('finds the sources', () => {
    assert.ok(native.length > 50 && typescript.length > 20);
  });

  it('rooms include only rooms below them', () => {
    const below: Record<string, string[]> = {
      runtime: ['runtime'],
      ops: ['runtime', 'ops'],
      checkpoint: ['runtime', 'checkpoint'],
      nn: ['runtime', 'ops', 'nn'],
      engine: ['runtime', 'ops', 'checkpoint', 'nn', 'engine'],
      train: ['runtime', 'ops', 'checkpoint', 'nn', 'engine', 'train'],
      quantize: ['runtime', 'ops', 'checkpoint', 'nn', 'engine', 'quantize'],
      bench: ['runtime', 'ops', 'engine', 'bench'],
      addon: ['runtime', 'engine', 'train', 'quantize', 'bench', 'addon'],
    };
    const rooms = Object.keys(below);
    const wrong = native.flatMap((source) =>
      includesOf(source)
        .filter(
          (include) => rooms.includes(include.split('/')[0] ?? '') && !below[room(source.path)]?.includes(include.split('/')[0] ?? ''),
        )
        .map((include) => `${source.path} includes ${include}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('csrc includes nothing of ours outside itself', () => {
    const quoted = native.flatMap(({ path, text }) =>
      [...text.matchAll(/#include "([^"]+)"/g)].map((match) => ({ path, include: match[1] ?? '' })),
    );
    assert.ok(quoted.length > 200);
    assert.deepEqual(
      quoted.filter(({ include }) => !native.some(({ path }) => path === join('csrc', include))),
      [],
    );
  });

  it('only the addon knows napi', () => {
    assert.deepEqual(
      offenders(native, (source) => room(source.path) !== 'addon' && includesOf(source).includes('napi.h')),
      [],
    );
  });

  it('torch headers are only in ops, checkpoint, nn, engine, train, quantize and bench, and not in the facades', () => {
    const allowed = ['ops', 'checkpoint', 'nn', 'engine', 'train', 'quantize', 'bench'];
    const facades = [
      'csrc/engine/detector.h',
      'csrc/bench/bench.h',
      'csrc/train/trainer.h',
      'csrc/train/sample.h',
      'csrc/quantize/quantizer.h',
    ];
    const breaks = (source: Source): boolean =>
      includesOf(source).some(isTorch) && (!allowed.includes(room(source.path)) || facades.includes(source.path));
    assert.deepEqual(offenders(native, breaks), []);
    assert.deepEqual(
      offenders(native, (source) => includesOf(source).some((include) => include === 'torch/torch.h' || include === 'ATen/ATen.h')),
      [],
    );
  });

  it('knows only error codes that lib/errors.ts declares', () => {
    const codes = (path: string): string[] => readFileSync(join(root, path), 'utf8').match(/\bERR_[A-Z_]+\b/g) ?? [];
    const declared = codes('lib/errors.ts');
    const ours = codes('csrc/runtime/error.h');
    assert.deepEqual(
      ours.filter((code) => !declared.includes(code)),
      [],
    );
    assert.ok(ours.includes('ERR_CHECKPOINT'));
  });

  it('CUDA sources include no torch header, and CUDA syntax is nowhere else', () => {
    const isCuda = ({ path }: Source): boolean => /\.cuh?$/.test(path);
    assert.deepEqual(
      offenders(native, (source) => isCuda(source) && includesOf(source).some(isTorch)),
      [],
    );
    assert.deepEqual(
      offenders(native, (source) => !isCuda(source) && /<<<|__global__/.test(source.text)),
      [],
    );
  });

  it("never calls ATen's cummax but to measure against it", () => {
    assert.deepEqual(
      offenders(native, (source) => room(source.path) !== 'bench' && /#include <ATen\/ops\/cummax|at::cummax\(/.test(source.text)),
      [],
    );
  });

  it('no file imports one that imports it, by whatever way and be it a type', () => {
    const graph = new Map(typescript.map((source) => [source.path, importsOf(source, true)]));
    for (const [path, imports] of graph) for (const one of imports) assert.ok(graph.has(one), `${path} imports ${one}`);
    assert.ok([...graph.values()].flat().length > 100);
    assert.deepEqual(circlesIn(graph), []);
    assert.deepEqual(circlesIn(new Map([['a', ['b', 'c']], ['b', ['c']], ['c', ['b']]])), ['b > c > b']); // prettier-ignore
  });

  it('charts are loaded only when a page is written', () => {
    const commands = typescript.map(({ path }) => path).filter((path) => path.startsWith('lib/commands/'));
    for (const path of ['lib/index.ts', 'lib/jobs.ts', 'lib/coco.ts', 'lib/train.ts', 'lib/cli.ts', 'lib/jobs/child.ts', ...commands])
      assert.ok(!loadedWith(path).has('lib/report/chart.ts'), path);
    assert.ok(loadedWith('lib/jobs/report.ts').has('lib/report/chart.ts'));
  });

  it('types name no package that is not installed with this one', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
    const seen = new Map<string, readonly string[]>();
    const follow = (path: string): void => {
      if (seen.has(path)) return;
      const names = ts.preProcessFile(readFileSync(join(root, path), 'utf8')).importedFiles.map(({ fileName }) => fileName);
      seen.set(
        path,
        names.filter((name) => !/^(\.|node:)/.test(name) && !(name in dependencies)),
      );
      for (const name of names) if (name.startsWith('.')) follow(join(dirname(path), name.replace(/\.js$/, '.d.ts')));
    };
    for (const door of ['index', 'jobs', 'coco', 'train']) follow(`dist/types/${door}.d.ts`);
    assert.ok(seen.size > 10);
    assert.deepEqual(
      [...seen].filter(([, names]) => names.length > 0),
      [],
    );
  });

  it('only programs print or end the process', () => {
    const isProgram = ({ path }: Source): boolean => ['lib/cli.ts', 'lib/jobs/child.ts'].includes(path) || path.startsWith('lib/commands/');
    assert.deepEqual(
      offenders(typescript, (source) => !isProgram(source) && /\bconsole\.|process\.exit\b/.test(withoutComments(source.text))),
      [],
    );
  });

  it('no two types have one name', () => {
    const names = typescript.flatMap(({ text }) =>
      [...text.matchAll(/^(?:export )?(?:abstract )?(?:interface|class|type) (\w+)/gm)].map(([, name]) => name),
    );
    assert.ok(names.length > 100);
    assert.deepEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
    );
  });

  it('every file opens with a sentence that says what it is', () => {
    const headers = native.filter(({ path }) => /\.h$|\.cuh$/.test(path));
    assert.deepEqual(
      offenders([...headers, ...typescript], ({ text }) => !/^(#!.*\n)?\/\/ [A-Z0-9].*/.test(text) && !text.startsWith('// cornernet ')),
      [],
    );
  });
});
