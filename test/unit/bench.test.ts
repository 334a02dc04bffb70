// The benchmark's reasoning against numbers worked out by hand.
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { figuresOf, ratioOf, runCase, takeTurns, type Turn } from '../../bench/harness.js';
import { compareReports, judge, leastChange, type Figure } from '../../lib/bench/compare.js';
import { cpuDisturbance, cpuSecondsOf, parseCpuTimes, parseGpuState } from '../../lib/bench/disturbance.js';
import { distinct, nameOf } from '../../lib/bench/kernels.js';
import { cpuField, cpuName, parseGpu } from '../../lib/bench/machine.js';
import { roof } from '../../lib/bench/peaks.js';
import { checkReport, readReport, type ModelReport, type Report, type Window } from '../../lib/bench/schema.js';
import { clip, covered, spansOf } from '../../lib/bench/spans.js';
import { median, percentile, relativeSpread, summarize } from '../../lib/bench/statistics.js';
import { agree, countedCalls, measure, toSeries, type Rule } from '../../lib/bench/windows.js';
import { loadNative } from '../../lib/native.js';
import { fixtures, root } from '../environment.js';

const quiet = { steal: 0, others: 0, gpuMhz: null, reasons: [] };
const disturbed = { steal: 0.3, others: 0, gpuMhz: null, reasons: ['stolen time 30%'] };
const rule: Rule = { windowSeconds: 1, stableWithin: 0.05, limitSeconds: 20 };

describe('bench statistics', () => {
  it('percentiles lie between neighbours', () => {
    assert.equal(percentile([10, 20, 30, 40], 0.5), 25);
    assert.equal(percentile([10, 20, 30, 40], 0), 10);
    assert.equal(percentile([10, 20, 30, 40], 1), 40);
    assert.equal(percentile([10, 20], 0.9), 19);
    assert.equal(median([3, 1, 2]), 2);
    assert.ok(Number.isNaN(percentile([], 0.5)));
  });

  it('a summary of eight values', () => {
    // Mean 5; squares of the differences add up to 32, by 7.
    const { deviation, ...rest } = summarize([2, 4, 4, 4, 5, 5, 7, 9]);
    assert.ok(Math.abs(deviation - Math.sqrt(32 / 7)) < 1e-12);
    assert.deepEqual([rest.count, rest.mean, rest.min, rest.p50, rest.max], [8, 5, 2, 4.5, 9]);
    assert.ok(Math.abs(rest.p90 - 7.6) < 1e-12 && Math.abs(rest.p95 - 8.3) < 1e-12 && Math.abs(rest.p99 - 8.86) < 1e-12);
    assert.equal(summarize([3]).deviation, 0);
  });

  it('spread is relative to the median', () => {
    assert.equal(relativeSpread([100, 104, 98]), 0.06);
    assert.equal(relativeSpread([7]), 0);
  });
});

describe('bench windows', () => {
  const window = (middle: number, disturbance = quiet as Window['disturbance']): { window: Window; values: number[] } => ({
    window: { seconds: 1, median: middle, count: 1, disturbance },
    values: [middle],
  });

  it('the last three decide', () => {
    assert.equal(agree([100, 102], 0.05), false);
    assert.equal(agree([100, 102, 104], 0.05), true);
    assert.equal(agree([100, 100, 106], 0.05), false);
    assert.equal(agree([200, 100, 100, 100], 0.05), true);
  });

  it('disturbed windows are left out of figures and of stability', () => {
    const series = toSeries([window(100), window(500, disturbed), window(101), window(102)], rule, 7);
    assert.deepEqual(
      [series.stable, series.undisturbed, series.values, series.windows.length, series.warmUpCalls],
      [true, true, [100, 101, 102], 4, 7],
    );
  });

  it('names the calls that count', () => {
    const of = (count: number, disturbance = quiet as Window['disturbance']): { window: Window; values: number[] } => ({
      window: { seconds: 1, median: 1, count, disturbance },
      values: Array.from({ length: count }, () => 1),
    });
    assert.deepEqual(countedCalls(toSeries([of(2), of(3, disturbed), of(1)], rule, 4)), [4, 5, 9]);
    assert.deepEqual(countedCalls(toSeries([of(2, disturbed)], rule, 1)), [1, 2]);
  });

  it('where all were disturbed, all count, and it says so', () => {
    const series = toSeries([window(100, disturbed), window(120, disturbed)], rule, 0);
    assert.deepEqual([series.stable, series.undisturbed, series.values], [false, false, [100, 120]]);
  });

  /** A clock that only calls move, each by what it measures. */
  async function run(
    milliseconds: (call: number) => number,
    isDisturbed: (window: number) => boolean = () => false,
    least = 0,
  ): Promise<ReturnType<typeof toSeries>> {
    let now = 0;
    let calls = 0;
    let windows = 0;
    const call = (): Promise<number> => {
      const value = milliseconds(calls++);
      now += value;
      return Promise.resolve(value);
    };
    const watch = (): Promise<() => Promise<typeof quiet>> => {
      const disturbance = isDisturbed(windows++) ? disturbed : quiet;
      return Promise.resolve(() => Promise.resolve(disturbance as typeof quiet));
    };
    return measure(call, rule, watch, least, () => now);
  }

  it('warms up until three calls agree, then takes three windows that agree', async () => {
    // 900 and 600 don't agree with 200; from the third call on all are 200: calls 3, 4 and 5 end the warm-up.
    const series = await run((call) => [900, 600][call] ?? 200);
    assert.deepEqual([series.warmUpCalls, series.windows.length, series.stable], [5, 3, true]);
    assert.deepEqual([series.values.length, series.summary.p50], [15, 200]); // five calls of 200 ms a window of a second
  });

  it('warms up for as many calls as it is told at least, whatever they take', async () => {
    const search = await run((call) => (call === 8 ? 2000 : 200), undefined, 12); // before three calls in a row agree again
    assert.deepEqual([search.warmUpCalls, search.values.includes(2000)], [12, false]);
  });

  it('goes on while windows disagree, and gives up at the limit', async () => {
    const settles = await run((call) => (call < 3 ? 500 : call < 7 ? 250 : 500)); // one quick window after warming up
    assert.deepEqual([settles.windows.length, settles.stable], [4, true]);
    let next = 0;
    const never = await run((call) => (call < 3 ? 500 : 500 * 1.2 ** (next++ % 7)));
    assert.equal(never.stable, false);
    assert.ok(never.windows.length > 3);
  });

  it('measures again what was disturbed', async () => {
    const series = await run(
      () => 500,
      (index) => index === 1,
    );
    assert.deepEqual([series.windows.length, series.stable, series.undisturbed, series.values.length], [4, true, true, 6]);
  });

  it('a call longer than a window is a window', async () => {
    const series = await run(() => 3000);
    assert.deepEqual(
      series.windows.map(({ count }) => count),
      [1, 1, 1],
    );
  });
});

describe('bench disturbance', () => {
  it('reads stolen and others’ time off /proc/stat', () => {
    const before = parseCpuTimes('cpu  1000 0 500 8000 0 0 0 100 0 0\ncpu0 1 2 3\n');
    const after = parseCpuTimes('cpu  1600 0 600 8100 0 0 100 200 0 0\n');
    assert.deepEqual(before, { busy: 15, idle: 80, steal: 1 });
    // 8 s busy, 1 idle, 1 stolen; ours were 5 of the 8.
    assert.deepEqual(cpuDisturbance(before, after, 5), {
      steal: 0.1,
      others: 0.3,
      gpuMhz: null,
      reasons: ['stolen time 10%', 'other processes 30%'],
    });
    assert.deepEqual(cpuDisturbance(before, { busy: 25, idle: 80, steal: 1 }, 10).reasons, []);
    assert.deepEqual(cpuDisturbance(undefined, after, 1), { steal: null, others: null, gpuMhz: null, reasons: [] });
    assert.equal(parseCpuTimes('nothing'), undefined);
  });

  it('counts what measured processes started as their own, running and ended', async () => {
    // Burns CPU, says how many seconds, and waits for its end.
    const script =
      "while (process.cpuUsage().user < 3e5); console.log((process.cpuUsage().user + process.cpuUsage().system) / 1e6); process.stdin.on('end', () => {}).resume()";
    const before = await cpuSecondsOf(process.pid);
    const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    const granted = Number(said.toString()) - 0.05; // counted in hundredths of a second, user and system apart
    assert.ok(granted > 0.2 && (await cpuSecondsOf(process.pid)) - before >= granted);
    child.stdin.end();
    await once(child, 'close');
    assert.ok((await cpuSecondsOf(process.pid)) - before >= granted);
  });

  it('reads a throttled GPU off nvidia-smi', () => {
    const one = (state: string): unknown => parseGpuState([`GPU-1, H100, ${state}`], 0, {});
    assert.deepEqual(one('1455, 0x0000000000000024'), { mhz: 1455, reasons: ['GPU: thermal slowdown'] }); // and its power limit
    assert.deepEqual(one('1980, 0x0000000000000001'), { mhz: 1980, reasons: [] }); // idle is no slowdown
    assert.deepEqual(one('[N/A], [N/A]'), { mhz: null, reasons: [] });
  });

  it('finds the GPU that CUDA means, or says nothing', () => {
    const lines = ['GPU-a1, T4, 300, 0x0', 'GPU-b2, H100, 1980, 0x0', 'GPU-c3, H100, 1455, 0x0'];
    const mhz = (gpus: string[], index: number, env: NodeJS.ProcessEnv): number | null => parseGpuState(gpus, index, env).mhz;
    const alike = lines.slice(1);
    assert.deepEqual([mhz(alike, 0, {}), mhz(alike, 1, {}), mhz(alike, 2, {})], [1980, 1455, null]);
    assert.equal(mhz(alike, 0, { CUDA_VISIBLE_DEVICES: '1' }), 1455);
    assert.equal(mhz(alike, 1, { CUDA_VISIBLE_DEVICES: '1' }), null);
    assert.equal(mhz(lines, 0, {}), null); // the fastest first: which that is, is not known
    assert.equal(mhz(lines, 0, { CUDA_DEVICE_ORDER: 'PCI_BUS_ID' }), 300);
    assert.equal(mhz(lines, 1, { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: '0,2' }), 1455);
    assert.equal(mhz(lines, 0, { CUDA_VISIBLE_DEVICES: 'GPU-b' }), 1980);
    assert.equal(mhz(lines, 0, { CUDA_VISIBLE_DEVICES: 'MIG-a1' }), null);
  });

  it('reads machines', () => {
    assert.equal(cpuName('model name\t: Xeon\ncpu family\t: 6\nmodel\t\t: 85\nstepping\t: 7\n'), 'Xeon (family 6, model 85, stepping 7)');
    const arm = 'CPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: 0xd40\nCPU revision\t: 1\n';
    assert.equal(cpuName(arm), 'ARM64 (implementer 0x41, part 0xd40, variant 0x1, revision 1)');
    assert.deepEqual(cpuField('processor\t: 0\ncpu MHz\t\t: 2600.5\nprocessor\t: 1\ncpu MHz\t\t: 2700\n', 'cpu MHz'), ['2600.5', '2700']);
    assert.deepEqual(parseGpu('NVIDIA H200, 580.1, 143771, 345, 1980, Not Active'), {
      name: 'NVIDIA H200',
      driver: '580.1',
      memoryBytes: 143771 * 2 ** 20,
      clockMhz: 345,
      maxClockMhz: 1980,
      clocks: 'floating',
    });
  });
});

describe('bench spans', () => {
  it('overlapping spans cover their union', () => {
    assert.equal(covered([]), 0);
    assert.equal(
      covered([
        { begin: 5, end: 8 },
        { begin: 0, end: 3 },
        { begin: 2, end: 4 },
        { begin: 6, end: 7 },
      ]),
      7,
    );
    assert.deepEqual(clip({ begin: 0, end: 10 }, { begin: 4, end: 20 }), { begin: 4, end: 10 });
    assert.equal(clip({ begin: 0, end: 3 }, { begin: 4, end: 20 }), undefined);
  });

  it('stages follow each other', () => {
    const spans = spansOf({ start: 100, decode: 5, wait: 2, prepare: 1, network: 20, corners: 3, nms: 4, total: 36, batch: 1 });
    assert.deepEqual(spans.get('network'), { begin: 108, end: 128 });
    assert.deepEqual(spans.get('nms'), { begin: 131, end: 135 });
  });
});

describe('bench work', () => {
  it('counts operations and bytes along the network', () => {
    const work = loadNative().networkWork({ width: 511, height: 511, views: 1, precision: 'bf16' });
    const stem = work[0];
    // 7x7 over 3 channels to 128 at 256x256, with bias and ReLU; bf16 in, weights, bias, out.
    const outputs = 128 * 256 * 256;
    assert.equal(stem?.flops, outputs * (2 * 49 * 3 + 2));
    assert.equal(stem.bytes, 2 * (3 * 511 * 511 + 128 * 3 * 49 + 128 + outputs));
    const pools = work.filter(({ op }) => op === 'pool_pair');
    assert.deepEqual(
      pools.map(({ flops, bytes, inChannels }) => [flops, bytes, inChannels]),
      Array.from({ length: 2 }, () => [3 * 128 * 128 * 128, 2 * 3 * 128 * 128 * 128, 128]),
    );
    assert.equal(work.filter(({ op }) => op === 'upsample_add').length, 2 * 5); // two stacks, five ways up each
    // Each of the checkpoint's convolutions that inference needs, once: all but the first head level's.
    const keys = JSON.parse(readFileSync(join(fixtures, 'hourglass104', 'hourglass104_keys.json'), 'utf8')) as {
      name: string;
      shape: number[];
    }[];
    const needed = keys.filter(({ name, shape }) => shape.length === 4 && !/^bbox_head\.\w+\.0\./.test(name));
    const convs = work.filter(({ op }) => op === 'conv');
    assert.equal(convs.length, needed.length);
    assert.equal(
      convs.reduce((sum, c) => sum + c.inChannels * c.outChannels * c.kernel ** 2, 0),
      needed.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0),
    );
    const total = (views: number): number =>
      loadNative()
        .networkWork({ width: 640, height: 480, views, precision: 'fp32' })
        .reduce((sum, { flops }) => sum + flops, 0);
    assert.equal(total(2), 2 * total(1));
  });

  it('equal calls are counted, and named by what they do', () => {
    const work = loadNative().networkWork({ width: 127, height: 127, views: 2, precision: 'fp32' });
    const groups = distinct(work);
    assert.equal(
      groups.reduce((sum, { calls }) => sum + calls, 0),
      work.length,
    );
    assert.ok(groups.length < work.length / 2);
    const names = groups.map((group) => nameOf(group.work));
    for (const name of [
      'conv 7x7/2 3 to 128 +relu',
      'conv 3x3 256 to 256 +add +relu',
      'conv 1x1 256 to 80',
      'pool_pair 128',
      'upsample_add 384',
    ]) {
      assert.ok(names.includes(name), name);
    }
  });

  it('the roof is memory’s below the ridge and arithmetic’s above it', () => {
    const peak = { matmul: 100, conv: 80, copy: 10 };
    assert.equal(roof(peak, 5, 1), 50);
    assert.equal(roof(peak, 50, 1), 100);
    assert.equal(roof({ ...peak, conv: 120 }, 50, 1), 120);
  });

  it('refuses operators that are none', async () => {
    const setting = { device: 'cpu', precision: 'fp32' as const, threads: 1, seconds: 0.01 };
    const pool = {
      op: 'pool_pair' as const,
      n: 1,
      inChannels: 16,
      outChannels: 16,
      height: 4,
      width: 4,
      kernel: 1,
      stride: 1,
      relu: false,
      residual: false,
      flops: 1,
      bytes: 100,
      layer: '',
      int8: false,
    };
    const native = loadNative();
    await assert.rejects(native.benchOperator({ ...pool, op: 'sort' as 'conv' }, setting), {
      code: 'ERR_OPTION',
      message: /no operator 'sort'/,
    });
    await assert.rejects(native.benchOperator({ ...pool, height: 0 }, setting), { code: 'ERR_OPTION' });
    await assert.rejects(native.benchOperator(pool, { ...setting, device: 'cuda:99' }), { code: 'ERR_DEVICE' });
    assert.throws(() => native.networkWork({ width: 0, height: 1, views: 1, precision: 'fp32' }), { code: 'ERR_OPTION' });
    const report = await native.benchOperator(pool, setting);
    assert.deepEqual(
      report.candidates.map(({ name }) => name),
      ['ours', 'aten', 'copy'],
    );
    assert.ok(report.candidates.every(({ backToBack, cold }) => backToBack.length >= 5 && cold.length >= 5));
    assert.equal(report.largestError, 0); // pooling only chooses
  });
});

/** A report of one model result whose windows have these medians. */
function modelReport(windows: readonly number[], changes: Partial<ModelReport['results'][number]> = {}): ModelReport {
  const measured = windows.map((value) => ({ window: { seconds: 1, median: value, count: 1, disturbance: quiet }, values: [value] }));
  return {
    format: 'cornernet-bench',
    version: 1,
    kind: 'model',
    date: '2026-01-02T03:04:05.000Z',
    machine: {
      cpu: 'a CPU',
      cores: 2,
      memoryBytes: 1,
      cpuFeatures: [],
      cpuMhz: null,
      cpuClocks: 'unknown',
      load: [0, 0, 0],
      kernel: '6',
      node: 'v20',
      cornernet: '0.1.0',
      libtorch: '2.13.0',
      cuda: null,
      gpus: [],
    },
    method: { insideTheClock: 'all', ...rule },
    peaks: [],
    results: [
      {
        weights: 'digits',
        device: 'cpu',
        precision: 'fp32',
        threads: 2,
        width: 127,
        height: 127,
        paddedWidth: 127,
        paddedHeight: 127,
        views: 1,
        batch: 1,
        latency: toSeries(measured, rule, 3),
        picturesPerSecond: 1,
        stages: { prepare: 1, network: 1, corners: 1, nms: 1, rest: 1 },
        flops: 1,
        bytes: 1,
        achieved: 1,
        ofPeak: 1,
        weightsBytes: 1,
        ...changes,
      },
    ],
  };
}

describe('bench compare', () => {
  const figure = (value: number, noise: number, biggerIsBetter = false): Figure => ({
    name: 'x',
    unit: 'ms',
    value,
    noise,
    biggerIsBetter,
    doubt: '',
  });

  it('judges beyond the noise of both', () => {
    assert.equal(judge(figure(100, 0.01), figure(90, 0.01)).judgement, 'faster');
    assert.equal(judge(figure(90, 0.01), figure(100, 0.01)).judgement, 'slower');
    assert.equal(judge(figure(100, 0.06), figure(90, 0.06)).judgement, 'same');
    assert.equal(judge(figure(100, 0.06, true), figure(150, 0.06, true)).judgement, 'faster');
    assert.equal(judge(figure(150, 0.06, true), figure(100, 0.06, true)).judgement, 'slower');
  });

  it('calls nothing a change that is smaller than two starts of one program differ', () => {
    const { judgement, noise } = judge(figure(100, 0), figure(99, 0));
    assert.deepEqual([judgement, noise], ['same', leastChange]);
  });

  it('takes the noise from the windows’ spread', () => {
    const wide = [100, 110, 90]; // half of 20 by 100 is a tenth, for each
    const [change] = compareReports(modelReport(wide), modelReport(wide.map((value) => value * 0.85))).changes;
    assert.deepEqual([change?.judgement, change?.noise?.toFixed(3)], ['same', '0.200']);
    const narrow = [100, 101, 99];
    const [other] = compareReports(modelReport(narrow), modelReport(narrow.map((value) => value * 0.85))).changes;
    assert.deepEqual([other?.judgement, other?.before, other?.after], ['faster', 100, 85]);
    // What the figure leaves out says nothing of how sure it is.
    const disturbed = (values: readonly number[]): ModelReport => {
      const window = { seconds: 1, median: 1000, count: 1, disturbance: { ...quiet, reasons: ['steal'] } };
      const one = (median: number) => ({ window: { ...window, median, disturbance: quiet }, values: [median] });
      return modelReport(values, { latency: toSeries([{ window, values: [1000] }, ...values.map(one)], rule, 3) });
    };
    const [slower] = compareReports(disturbed(narrow), disturbed(narrow.map((value) => value / 0.85))).changes;
    assert.equal(slower?.judgement, 'slower');
  });

  it('says what is in one report only, and how the machines differ', () => {
    const before = modelReport([1, 1, 1]);
    const after: Report = { ...modelReport([1, 1, 1], { batch: 4 }), machine: { ...before.machine, cores: 64 } };
    const { changes, warnings } = compareReports(before, after);
    assert.deepEqual(
      changes.map(({ judgement }) => judgement),
      ['only before', 'only after'],
    );
    assert.deepEqual(warnings, ['cores: 2 before, 64 after']);
    const features = { cpuFeatures: ['avx2'], memoryBytes: 8e9, cuda: '13.0' };
    const elsewhere = {
      ...before,
      machine: { ...before.machine, ...features },
      method: { ...before.method, windowSeconds: 2, limitSeconds: 9 },
    };
    assert.deepEqual(compareReports(before, elsewhere).warnings, [
      'CPU features: none before, avx2 after',
      'memory: 0 GB before, 8 GB after',
      'CUDA: none before, 13.0 after',
      'window: 1 s before, 2 s after',
      'duration: 20 s before, 9 s after',
    ]);
  });

  it('says which figures are doubtful, and of which report', () => {
    const sure = modelReport([1, 1, 1]);
    const changing = modelReport([1, 2, 3]);
    const doubts = (before: Report, after: Report): unknown => compareReports(before, after).changes.map(({ doubt }) => doubt);
    assert.deepEqual(doubts(sure, sure), ['']);
    assert.deepEqual(doubts(sure, changing), ['not stable after']);
    assert.deepEqual(doubts(changing, changing), ['not stable before; not stable after']);
  });

  it('of pipelines are of one concurrency', async () => {
    const kept = readdirSync(join(root, 'bench', 'results')).find((name) => name.endsWith('pipeline.json'));
    const report = await readReport(join(root, 'bench', 'results', kept ?? ''));
    assert.ok(report.kind === 'pipeline');
    const other = { ...report, results: report.results.map((result) => ({ ...result, concurrency: 7 })) };
    assert.deepEqual(compareReports(report, other).changes.map(({ judgement }) => judgement), ['only before', 'only after']); // prettier-ignore
  });

  it('pairs what was measured twice in its order', () => {
    const [one, other] = [modelReport([1, 1, 1]), modelReport([5, 5, 5])];
    const twice = { ...one, results: [...one.results, ...other.results] };
    const judgements = (after: Report): unknown => compareReports(twice, after).changes.map(({ judgement }) => judgement);
    assert.deepEqual(judgements(twice), ['same', 'same']);
    assert.deepEqual(judgements(one), ['same', 'only before']);
  });
});

describe('bench turns', () => {
  const setting = { rounds: 2, most: 4, warmUpRounds: 1 };

  /** Candidates whose turns take 1, 2, 3 ... and ten times as long; `isDisturbed` says of which rounds, the warm-up being the first. */
  async function take(
    isDisturbed: (round: number) => boolean,
  ): Promise<{ order: string[]; rounds: Awaited<ReturnType<typeof takeTurns>> }> {
    const order: string[] = [];
    const candidate = (name: string, unit: number): { turn: () => Promise<Turn> } => {
      let turns = 0;
      const turn = (): Promise<Turn> => {
        order.push(name);
        return Promise.resolve({ seconds: ++turns * unit, peakBytes: unit });
      };
      return { turn };
    };
    let round = 0;
    const watch = () => Promise.resolve(() => Promise.resolve(isDisturbed(round++) ? disturbed : quiet));
    const candidates = new Map(Object.entries({ ours: candidate('ours', 1), peer: candidate('peer', 10) }));
    return { order, rounds: await takeTurns(candidates, setting, watch, () => undefined) };
  }

  it('alternate, after rounds that do not count', async () => {
    const { order, rounds } = await take(() => false);
    assert.deepEqual(order, ['ours', 'peer', 'ours', 'peer', 'ours', 'peer']);
    const { seconds, figures } = figuresOf('peer', rounds, setting.warmUpRounds);
    assert.deepEqual([seconds.values, seconds.warmUpCalls, figures], [[20, 30], 1, { peakBytes: [10, 10] }]);
  });

  it('measure a disturbed round again and leave it out for every candidate', async () => {
    const { rounds } = await take((round) => round === 1);
    const of = (name: string): readonly number[] => figuresOf(name, rounds, setting.warmUpRounds).seconds.values;
    assert.deepEqual([rounds.length, of('ours'), of('peer')], [3, [3, 4], [30, 40]]);
  });

  it('end where every round is disturbed, and then all count', async () => {
    const { rounds } = await take(() => true);
    const { seconds, figures } = figuresOf('ours', rounds, setting.warmUpRounds);
    assert.deepEqual([rounds.length, seconds.values, seconds.undisturbed], [4, [2, 3, 4, 5], false]);
    assert.equal(figures['peakBytes']?.length, 4);
  });

  it('go on without a peer that can’t be made, not without ours, and close all that were made', async () => {
    const closed: string[] = [];
    const made = (name: string) => () => ({
      turn: () => Promise.resolve({ seconds: 1 }),
      close: () => Promise.resolve(void closed.push(name)),
    });
    const broken = () => Promise.reject(new Error('not installed'));
    const watch = () => Promise.resolve(() => Promise.resolve(quiet));
    const run = (candidates: Record<string, () => Promise<never> | ReturnType<ReturnType<typeof made>>>) =>
      runCase('a', { setting: 'b', candidates }, setting, watch, () => undefined);
    const { results, missing } = await run({ peer: broken, other: made('other'), ours: made('ours') });
    assert.deepEqual(missing, [{ case: 'a', candidate: 'peer', reason: 'not installed' }]);
    assert.deepEqual(
      results.map(({ candidate, version }) => [candidate, version]),
      [['other', null], ['ours', null]], // prettier-ignore
    );
    await assert.rejects(run({ another: made('another'), 'ours-bf16': broken }), /not installed/);
    assert.deepEqual(closed, ['other', 'ours', 'another']);
  });

  it('compare speeds round by round and memory by its median, with what stands in for a peer that is missing', () => {
    const result = (candidate: string, rounds: readonly number[], peakBytes: number) => {
      const turns = rounds.map((seconds) => ({ turns: new Map([[candidate, { seconds, peakBytes }]]), disturbance: quiet }));
      return { case: 'a', candidate, version: null, ...figuresOf(candidate, turns, 0) };
    };
    const ours = result('ours', [1, 2, 4], 40);
    const without = [ours, result('stand-in', [5, 10, 20], 100)];
    const both = [...without, result('peer', [4, 8, 8], 80)];
    const peers = ['peer', 'stand-in'];
    const speed = { what: 'speed', ours: 'ours', peers, goal: 4 } as const;
    const named = { case: 'a', ours: 'ours', peer: 'peer' };
    assert.deepEqual(ratioOf('a', speed, both), { ...named, what: 'speed', goal: 4, ratio: 4, met: true });
    assert.deepEqual(ratioOf('a', { ...speed, goal: 5 }, both), { ...named, what: 'speed', goal: 5, ratio: 4, met: false });
    assert.deepEqual(ratioOf('a', speed, without), { ...named, peer: 'stand-in', what: 'speed', goal: 4, ratio: 5, met: true });
    assert.deepEqual(ratioOf('a', speed, [ours]), { ...named, what: 'speed', goal: 4, ratio: null, met: null });
    assert.deepEqual(ratioOf('b', speed, both).ratio, null);
    const memory = { what: 'memory', ours: 'ours', peers } as const;
    assert.deepEqual(ratioOf('a', memory, both), { ...named, what: 'memory', goal: null, ratio: 0.5, met: null });
    assert.equal(ratioOf('a', { ...memory, goal: 0.4 }, both).met, false);
  });
});

describe('bench reports', () => {
  it('come back as they were written', () => {
    const report = modelReport([100, 101, 102]);
    assert.deepEqual(checkReport(JSON.parse(JSON.stringify(report)), 'a.json'), report);
  });

  it('of runs that were made are kept, and are read back', async () => {
    const folder = join(root, 'bench', 'results');
    const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
    assert.ok(names.length > 0);
    for (const name of names) {
      const report = await readReport(join(folder, name));
      assert.ok(report.results.length > 0 && name.startsWith(report.date.slice(0, 10)) && name.includes(`-${report.kind}`), name);
      const { changes } = compareReports(report, report);
      assert.ok(changes.length >= report.results.length && changes.every(({ judgement }) => judgement === 'same'), name);
      if (!('ratios' in report)) continue;
      for (const stated of report.ratios) {
        const against = { ...stated, peers: [stated.peer], goal: stated.goal ?? undefined };
        assert.deepEqual(ratioOf(stated.case, against, report.results), stated, name);
      }
    }
  });

  it('are refused with the field that is wrong', async () => {
    const report = modelReport([100, 101, 102]);
    const refused = (value: unknown, message: RegExp): void =>
      assert.throws(() => checkReport(value, 'a.json'), { code: 'ERR_INPUT', message });
    refused({}, /^a\.json is not a report of cornernet bench/);
    refused({ ...report, version: 2 }, /version/);
    refused({ ...report, machine: { ...report.machine, cores: 'two' } }, /machine\.cores/);
    refused({ ...report, extra: 1 }, /extra/);
    refused([], /not a report/);
    const unread = { code: 'ERR_INPUT', message: /^\/.* can't be read as JSON: / };
    for (const file of [join(root, 'LICENSE'), '/dev/null']) await assert.rejects(readReport(file), unread);
  });
});
