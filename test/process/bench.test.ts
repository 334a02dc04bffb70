// cornernet bench as a user meets it: real runs, short ones, of which no time is expected.
import { strict as assert } from 'node:assert';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readReport } from '../../lib/bench/schema.js';
import { Detector } from '../../lib/index.js';
import { cpuComputes, root } from '../environment.js';
import { openInBrowser } from '../support/browser.js';
import { cornernet, runNode } from '../support/child.js';
import { eachInAFolder } from '../support/scratch.js';

const scenes = ['scene0.jpg', 'scene1.jpg'].map((name) => join(root, 'pictures', name));
const brief = ['--duration', '0.2', '--window', '0.05', '--quiet'];

describe('cornernet bench', function () {
  this.timeout(180_000);
  let folder: string;
  eachInAFolder('bench-test', (made) => (folder = made));

  /** The plots of a page, by what they say they show, and whether each has drawn something. */
  async function plotsOf(
    context: Mocha.Context,
    page: string,
  ): Promise<{ title: string; headings: string[]; plots: string[]; text: string }> {
    const seen = { title: '', headings: [] as string[], plots: [] as string[], text: '' };
    await openInBrowser(context, page, async (opened) => {
      seen.title = await opened.title();
      seen.headings = await opened.locator('h2').allTextContents();
      for (const plot of await opened.locator('.plot').all()) {
        const box = await plot.boundingBox();
        assert.ok(box && box.width > 300 && box.height > 100 && (await plot.locator('path, rect').count()) > 3);
        seen.plots.push((await plot.getAttribute('aria-label')) ?? '');
      }
      seen.text = (await opened.textContent('body')) ?? '';
    });
    return seen;
  }

  it('train measures steps and memory, and its report is read back, shown and compared', async function () {
    const [json, html] = [join(folder, 'train.json'), join(folder, 'train.html')];
    const small = [
      '--network',
      'small',
      '--size',
      '64',
      '--batch',
      '1,2',
      '--precision',
      'fp32',
      '--recompute',
      'no,yes',
      '--threads',
      '1',
    ];
    const { code, stdout, stderr } = await cornernet(['bench', 'train', ...small, ...brief, '--json', json, '--html', html]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /small +│ 64 +│ 2 +│ fp32 +│ yes /);
    const report = await readReport(json);
    assert.ok(report.kind === 'train');
    assert.deepEqual(report.results.map(({ batch, recompute }) => [batch, recompute]), [[1, false], [1, true], [2, false], [2, true]]); // prettier-ignore
    for (const { parameters, peakMemoryBytes, step } of report.results)
      assert.ok(parameters > 1e6 && peakMemoryBytes > 16 * parameters && step.summary.p50 > 0);
    const { headings } = await plotsOf(this, html);
    assert.deepEqual(headings, ['Results', 'Steps', 'Memory', 'Windows', 'How it was measured']);
    const compared = await cornernet(['bench', 'compare', json, json]);
    assert.match(compared.stdout, /0 faster, 0 slower, 8 neither/);
    const refused = await cornernet(['bench', 'train', '--recompute', 'maybe']);
    assert.match(refused.stderr, /^ERR_OPTION: --recompute takes yes, no or both, not 'maybe'/m);
  });

  it('model writes a table, a report that is read back, and a page', async function () {
    const [json, html] = [join(folder, 'model.json'), join(folder, 'model.html')];
    const sizes = ['--sizes', '127x127,200x100', '--batch', '1,2', '--views', '1,2', '--precision', 'fp32'];
    const { code, stdout, stderr } = await cornernet(['bench', 'model', ...sizes, ...brief, '--json', json, '--html', html]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /200x100 +│ 255x127 +│ fp32 +│ 2 +│ 2 /);
    const report = await readReport(json);
    assert.ok(report.kind === 'model');
    assert.equal(report.results.length, 8);
    for (const { latency, stages, flops, weights, views, batch } of report.results) {
      assert.equal(weights, 'digits');
      assert.equal(latency.summary.count, latency.values.length);
      assert.ok(latency.windows.length >= 3 || !latency.stable);
      assert.ok(stages.network > 0 && stages.network <= latency.summary.max);
      const one = report.results.find((r) => r.views === 1 && r.batch === 1 && r.flops * views * batch === flops);
      assert.ok(one, 'twice the views are twice the work');
    }
    assert.match(report.method.insideTheClock, /decoding files is outside/);
    assert.ok(report.machine.cores >= 1 && report.machine.cpu.length > 3);
    const { plots, headings, text } = await plotsOf(this, html);
    assert.deepEqual(headings, ['Results', 'Throughput', 'Latency', 'Windows', 'Stages', 'Roofline', 'How it was measured']);
    assert.equal(plots.length, 5);
    assert.match(text, /Inside the clock/);
    assert.deepEqual(readdirSync(folder).sort(), ['model.html', 'model.json']); // nothing half-written stays
  });

  it('model sees each picture at several scales, whose work it adds up', async () => {
    const json = join(folder, 'scales.json');
    const args = ['--sizes', '127x127', '--scales', '1,2', '--views', '1', '--precision', 'fp32'];
    const { code, stdout } = await cornernet(['bench', 'model', ...args, ...brief, '--json', json]);
    assert.equal(code, 0);
    assert.match(stdout, /127x127 +│ fp32 +│ 1 at 1, 2 /);
    const report = await readReport(json);
    assert.ok(report.kind === 'model');
    await using detector = await Detector.load('digits', { device: 'cpu', precision: 'fp32' });
    const alone = await Promise.all([127, 254].map((side) => detector.work(side, side)));
    const flops = alone.flat().reduce((sum, work) => sum + work.flops, 0);
    assert.deepEqual(
      report.results.map((one) => [one.scales, one.flops]),
      [[[1, 2], flops]],
    );
  });

  it('model measures a precision once that is also what auto is', async () => {
    const json = join(folder, 'auto.json');
    const others = cpuComputes('bf16') ? ['fp32', 'bf16'] : ['fp32'];
    const args = ['--sizes', '127x127', '--views', '1', '--precision', ['auto', ...others].join(), '--device', 'cpu', ...brief];
    assert.equal((await cornernet(['bench', 'model', ...args, '--json', json])).code, 0);
    const { results, peaks } = await readReport(json);
    assert.deepEqual([results.length, peaks.length], [others.length, others.length]);
  });

  it('keeps what was measured before a failure', async () => {
    const json = join(folder, 'kept.json');
    const args = ['--sizes', '127x127', '--views', '1', '--device', 'cpu', '--precision', 'fp32,int8', '--duration', '0.2', '--quiet']; // of weights that nobody calibrated
    const { code, stdout, stderr } = await cornernet(['bench', 'model', ...args, '--json', json]);
    assert.equal(code, 1);
    assert.match(stderr, cpuComputes('int8') ? /^ERR_OPTION: .*int8/ : /^ERR_DEVICE: .*int8/);
    assert.match(stdout, /127x127 +│ fp32 /);
    const { results, method } = await readReport(json);
    assert.equal(results.length, 1);
    assert.equal('windowSeconds' in method && method.windowSeconds, 0.2, 'no longer than --duration');
  });

  it('kernels puts every operator on the roofline', async function () {
    const [json, html] = [join(folder, 'kernels.json'), join(folder, 'kernels.html')];
    const args = ['--sizes', '63x63', '--operators', 'pool_pair,upsample_add', '--precision', 'fp32', '--duration', '0.01', '--quiet'];
    const { code, stderr } = await cornernet(['bench', 'kernels', ...args, '--json', json, '--html', html]);
    assert.deepEqual([code, stderr], [0, '']);
    const report = await readReport(json);
    assert.ok(report.kind === 'kernels');
    assert.deepEqual([...new Set(report.results.map(({ op }) => op))].sort(), ['pool_pair', 'upsample_add']);
    for (const { largestError, ours, aten, copy, coldBytes } of report.results) {
      assert.equal(largestError, 0);
      for (const { backToBack, cold } of [ours, aten, copy]) assert.ok(backToBack.count >= 5 && cold.min > 0);
      assert.ok(coldBytes > 1e6);
    }
    const { plots, title } = await plotsOf(this, html);
    assert.equal(title, 'cornernet bench kernels');
    assert.match(plots[0] ?? '', /^Roofline/);
  });

  it('pipeline says how busy each stage was, and what failed', async function () {
    const [json, html] = [join(folder, 'pipeline.json'), join(folder, 'pipeline.html')];
    const broken = join(folder, 'broken.jpg');
    writeFileSync(broken, 'no picture');
    const args = ['bench', 'pipeline', ...scenes, broken, '--precision', 'fp32', '--batch', '2', ...brief];
    const { code, stdout, stderr } = await cornernet([...args, '--json', json, '--html', html]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /│ network +│ +\d+%/);
    const report = await readReport(json);
    assert.ok(report.kind === 'pipeline');
    const [result] = report.results;
    assert.ok(result);
    assert.ok(result.failed > 0 && result.failed < result.pictures && result.files === 3);
    const detected = result.pictures - result.failed; // those of the windows, without warm-up's
    assert.equal(detected, result.throughput.windows.reduce((sum, { count }) => sum + count, 0)); // prettier-ignore
    for (const { milliseconds } of result.stages) assert.equal(milliseconds.count, detected);
    assert.equal(result.views, 1, 'the digits are tested without the mirrored view');
    assert.deepEqual(
      result.stages.map(({ stage }) => stage),
      ['decode', 'wait', 'prepare', 'network', 'corners', 'nms', 'write'],
    );
    for (const { busy, milliseconds } of result.stages) assert.ok(busy >= 0 && busy <= 1.000001 && milliseconds.min >= 0);
    assert.ok(result.timeline.length > 0 && result.timeline.every(({ begin, end }) => end >= begin));
    const { plots } = await plotsOf(this, html);
    assert.deepEqual(
      plots.map((plot) => plot.split(/\W/)[0]),
      ['Occupancy', 'Windows', 'Stage'],
    );
  });

  it("pipeline looks at the views that the weights were tested with, unless it's told otherwise", async () => {
    const json = join(folder, 'views.json');
    const path = ['--weights', join(root, 'weights', 'digits.pth')]; // as mmdetection tests: with the mirrored view
    const cases = [[['--flip'], 2], [path, 2], [[...path, '--no-flip'], 1]] as const; // prettier-ignore
    for (const [flags, views] of cases) {
      const { code, stderr } = await cornernet(['bench', 'pipeline', ...scenes, ...flags, '--precision', 'fp32', ...brief, '--json', json]);
      assert.deepEqual([code, stderr], [0, '']);
      const { results } = await readReport(json);
      assert.deepEqual(results.map((result) => 'views' in result && result.views), [views]); // prettier-ignore
    }
  });

  it('compare reads two reports and judges', async () => {
    const [a, b, out] = [join(folder, 'a.json'), join(folder, 'b.json'), join(folder, 'out.json')];
    const { code } = await cornernet([
      'bench',
      'model',
      '--sizes',
      '127x127',
      '--views',
      '1',
      '--precision',
      'fp32',
      ...brief,
      '--json',
      a,
    ]);
    assert.equal(code, 0);
    // Ten times as slow beyond any doubt.
    const report = JSON.parse(readFileSync(a, 'utf8')) as {
      results: { latency: { stable: boolean; undisturbed: boolean; summary: { p50: number }; windows: { median: number }[] } }[];
    };
    for (const path of [a, b]) {
      for (const { latency } of report.results) {
        if (path === b) latency.summary.p50 *= 10;
        latency.stable = latency.undisturbed = true;
        for (const window of latency.windows) window.median = latency.summary.p50;
      }
      writeFileSync(path, JSON.stringify(report));
    }
    const compared = await cornernet(['bench', 'compare', a, b, '--json', out, '--fail-if-slower']);
    assert.deepEqual([compared.code, compared.stderr], [2, '']);
    assert.match(compared.stdout, /0\.10x .* slower/);
    const { changes } = JSON.parse(readFileSync(out, 'utf8')) as { changes: { judgement: string }[] };
    assert.deepEqual(
      changes.map(({ judgement }) => judgement),
      ['slower'],
    );
    const same = await cornernet(['bench', 'compare', a, a, '--fail-if-slower']);
    assert.deepEqual([same.code, /0 faster, 0 slower, 1 neither/.test(same.stdout)], [0, true]);
    // As much slower, but nobody can be sure.
    for (const { latency } of report.results) latency.stable = false;
    writeFileSync(b, JSON.stringify(report));
    const doubtful = await cornernet(['bench', 'compare', a, b, '--fail-if-slower']);
    assert.equal(doubtful.code, 0);
    assert.match(
      doubtful.stdout,
      /slower +│ not stable after[^]*1 slower[^]*\nslower, but too doubtful to fail: digits .*\(not stable after\)/,
    );
  });

  it('show draws a developers’ measurement that was kept', async function () {
    const [json, html] = [join(folder, 'import.json'), join(folder, 'import.html')];
    const measured = await runNode(['--import', 'tsx', 'bench/import.ts', '--rounds', '1', '--json', json]);
    assert.equal(measured.code, 0, measured.stderr);
    const report = await readReport(json);
    assert.ok('ratios' in report);
    assert.deepEqual(
      report.results.map(({ candidate }) => candidate),
      ['node', 'cornernet', 'cornernet/jobs', 'cornernet/coco'],
    );
    for (const { candidate, figures, seconds } of report.results) {
      assert.ok(seconds.values.every((all, i) => all > (figures['requireSeconds']?.[i] ?? NaN)));
      assert.equal(figures['modules']?.[0] === 0, candidate === 'node');
    }
    assert.ok(report.ratios.every(({ ratio, peer }) => ratio !== null && peer === 'node'));
    const shown = await cornernet(['bench', 'show', json, '--html', html]);
    assert.deepEqual([shown.code, shown.stderr, shown.stdout], [0, '', measured.stdout]);
    const { title, headings } = await plotsOf(this, html);
    assert.deepEqual([title, headings], ['cornernet bench import', ['Results', 'Turns', 'Windows', 'How it was measured']]);
    for (const args of [
      ['show', json, '--html', json],
      ['compare', html, json, '--json', json],
    ]) {
      const over = await cornernet(['bench', ...args]);
      assert.deepEqual([over.code, over.stdout], [1, '']);
      assert.match(over.stderr, /^ERR_OPTION: the output .*import\.json is the input .*import\.json, which it would replace/);
    }
    assert.deepEqual(await readReport(json), report);
    const wrong = await runNode(['--import', 'tsx', 'bench/import.ts', '--cases', 'flight']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /there is no case 'flight' but require/);
  });

  it('wrong use has a code and a sentence, and writes nothing', async () => {
    const cases: [string[], RegExp][] = [
      [['model', '--sizes', 'big'], /^ERR_OPTION: --sizes takes sizes in pixels such as 640x480, not 'big'/],
      [['model', '--sizes', '0x5'], /^ERR_OPTION: --sizes/],
      [['model', '--sizes', '127x127,99999x99999'], /^ERR_OPTION: --sizes takes sizes of at most 50000000 pixels, not '99999x99999'/],
      [['model', '--sizes', '4000x4000', '--scales', '1,2'], /^ERR_OPTION: --sizes .* at --scales 2, not '4000x4000'/],
      [['kernels', '--sizes', '9000x9000'], /^ERR_OPTION: --sizes takes sizes of at most/],
      [['model', '--views', '3'], /^ERR_OPTION: --views takes whole numbers from 1 to 2, not '3'/],
      [['model', '--batch', '1,,2'], /^ERR_OPTION: --batch takes a list/],
      [['model', '--precision', 'fp8'], /^ERR_OPTION: option precision is 'fp8'/],
      [['model', '--device', 'cpu,cpu'], /^ERR_OPTION: --device takes one device/],
      [['model', '--window', '0'], /^ERR_OPTION: --window must be/],
      [['model', '--window', '5', '--duration', '1'], /^ERR_OPTION: --window 5 is longer than --duration 1,/],
      [['model', '--weights', join(folder, 'none.pth')], /^ERR_WEIGHTS: there are no weights/],
      [['model', '--html', join(root, 'package.json', 'page.html')], /^ERR_WRITE: .*page\.html can't be written/],
      [['kernels', '--operators', 'sort'], /^ERR_OPTION: --operators takes conv/],
      [['kernels', '--duration', '0'], /^ERR_OPTION: --duration must be 0\.01 to 86400, not 0/],
      [['kernels', '--duration', 'Infinity'], /^ERR_OPTION: --duration must be 0\.01 to 86400, not Infinity/],
      [['kernels', '--threads', '-1'], /^ERR_OPTION: option threads is -1/],
      [['kernels', '--views', '0'], /^ERR_OPTION: --views takes whole numbers from 1 to 64, not '0'/],
      [['train', '--threads', '1.5'], /^ERR_OPTION: option threads is 1\.5/],
      [['kernels', '--precision', 'int4'], /^ERR_OPTION: --precision takes auto, fp32, bf16, fp16 and int8, not 'int4'/],
      [['pipeline', join(folder, 'nothing.jpg'), '--precision', 'fp32', ...brief], /^ERR_INPUT: .*nothing\.jpg can't be read/],
      [['compare', join(folder, 'a.json'), join(folder, 'b.json')], /^ERR_INPUT: .*a\.json can't be read/],
      [['compare', join(root, 'package.json'), join(root, 'package.json')], /^ERR_INPUT: .*package\.json is not a report/],
    ];
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await cornernet([
        'bench',
        ...args,
        ...(args[0] === 'compare' ? [] : ['--json', join(folder, 'x.json')]),
      ]);
      assert.deepEqual([code, stdout], [1, ''], args.join(' '));
      assert.match(stderr, message);
    }
    assert.deepEqual(readdirSync(folder), []);
  });
});
