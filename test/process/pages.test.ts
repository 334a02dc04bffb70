// Every page in a real browser, made of what is hardest to show: outliers, disturbed windows, failures, many classes, tall pictures.
import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Page } from 'playwright-core';
import sharp from 'sharp';

import { writeReportPage } from '../../lib/bench/page.js';
import type { KernelResult, ModelResult, Peak, PipelineResult, Report, Series } from '../../lib/bench/schema.js';
import { summarize } from '../../lib/bench/statistics.js';
import { toSeries, type Rule } from '../../lib/bench/windows.js';
import { evaluateDetections, type CocoAnnotations, type CocoDetection } from '../../lib/coco.js';
import { evaluationPage } from '../../lib/coco/page.js';
import { writeReport } from '../../lib/jobs/report.js';
import { Tally } from '../../lib/jobs/tally.js';
import { openInBrowser } from '../support/browser.js';
import { allInAFolder } from '../support/scratch.js';

const rule: Rule = { windowSeconds: 1, stableWithin: 0.05, limitSeconds: 20 };

/** Windows of three values around each of these; a negative one was disturbed. */
function seriesOf(medians: readonly number[]): Series {
  const measured = medians.map((given) => {
    const median = Math.abs(given);
    const reasons = given < 0 ? ['other processes 40%'] : [];
    const window = { seconds: 1, median, count: 3, disturbance: { steal: 0, others: 0, gpuMhz: null, reasons } };
    return { window, values: [median * 0.99, median, median * 1.01] };
  });
  return toSeries(measured, rule, 3);
}

const peak: Peak = { device: 'cpu', precision: 'fp32', threads: 2, matmul: 1e11, matmulSide: 512, conv: 2e11, copy: 2e10, copyBytes: 1e8 };

const machine: Report['machine'] = {
  ...{ cpu: 'a CPU of a very long name indeed', cores: 2, memoryBytes: 1e10, cpuFeatures: ['avx2', 'avx512f'], cpuMhz: [2000, 2500] },
  ...{ cpuClocks: 'unknown', load: [0.5, 0, 0], kernel: '6.1', node: 'v20', cornernet: '0.1.0', libtorch: '2.13.0', cuda: null, gpus: [] },
};

const common = {
  format: 'cornernet-bench',
  version: 1,
  date: '2026-01-02T03:04:05.000Z',
  machine,
  peaks: [peak],
  method: { insideTheClock: 'everything '.repeat(40), ...rule },
} as const;

const setup = { weights: 'digits', device: 'cpu', precision: 'fp32', threads: 2 } as const;

function modelResult(side: number, views: number, batch: number, medians: readonly number[]): ModelResult {
  const latency = seriesOf(medians);
  return {
    ...{ ...setup, width: side, height: side, paddedWidth: side | 127, paddedHeight: side | 127, views, batch, latency },
    picturesPerSecond: (1000 * batch) / latency.summary.p50,
    stages: { prepare: 1e-3, network: latency.summary.p50, corners: 1, nms: 0, rest: 2 },
    ...{ flops: 1e9 * side, bytes: 1e8, achieved: 1e12 / latency.summary.p50, ofPeak: 0.5, weightsBytes: 1e8 },
  };
}

function kernelResult(name: string, seconds: number, aten: number, disturbed: string[] = []): KernelResult {
  const timed = (value: number): KernelResult['ours'] => ({ backToBack: summarize([value]), cold: summarize([2 * value]) });
  return {
    ...{ ...setup, name, shape: '1x512x128x128', op: 'conv', calls: 2, flops: 1e9, bytes: 1e7, disturbed },
    ...{ ours: timed(seconds), aten: timed(aten), copy: timed(seconds / 2), achieved: 1e9 / seconds, bandwidth: 1e7 / seconds },
    ...{ ofRoof: 0.4, largestError: 0, coldBytes: 1e8 },
  };
}

function pipelineResult(): PipelineResult {
  const names = ['decode', 'wait', 'prepare', 'network', 'corners', 'nms', 'write'] as const;
  return {
    ...{
      ...setup,
      batch: 2,
      concurrency: null,
      views: 1,
      files: 3,
      pictures: 40,
      failed: 1,
      seconds: 9,
      networkAlone: 30,
      ofNetworkAlone: 0.7,
    },
    throughput: seriesOf([20, -0.02, 21]),
    stages: names.map((stage, i) => ({ stage, busy: i / 6.0001, depth: i, milliseconds: summarize([i, 900 * i]) })),
    timeline: [
      ...names.map((stage, i) => ({ stage, picture: 0, begin: 10 * i, end: 10 * i + (stage === 'network' ? 60_000 : 0.01) })),
      { stage: 'failed', picture: 1, begin: 5, end: 5 },
      { stage: 'write', picture: 1, begin: 5, end: 6 },
    ],
    ...{ loopDelay: { p50: 0, p99: 1, max: 2 }, peakMemoryBytes: 3e8 },
  };
}

describe('pages', function () {
  this.timeout(120_000);
  let folder: string;
  allInAFolder('pages', (made) => (folder = made));

  const report = (page: Page, label: RegExp) => page.locator('figure').filter({ has: page.getByLabel(label) });

  it('model: outliers are on the axes, disturbed windows and unstable results have crosses', async function () {
    const file = join(folder, 'model.html');
    const quiet = [127, 255, 511, 1023].flatMap((side) => [1, 2].flatMap((views) => [1, 2, 7, 8].map((batch) => modelResult(side, views, batch, [side, side, side])))); // prettier-ignore
    const results = [...quiet, modelResult(383, 1, 1, [-90_000, 300, 300, 300]), modelResult(385, 1, 1, [0.5, 40, 3000])];
    await writeReportPage(file, { ...common, kind: 'model', results });
    await openInBrowser(this, file, async (page) => {
      const crosses = (label: RegExp): Promise<number> => report(page, label).locator('.cross').count();
      assert.deepEqual([await crosses(/^Windows/), await crosses(/^Throughput/), await crosses(/^Latency/)], [1, 2, 2]);
      assert.equal(
        await report(page, /^Windows/)
          .locator('circle')
          .count(),
        3 * 33 + 4 + 34,
      ); // those of the key too
      assert.match(
        (await report(page, /^Windows/)
          .locator('.cross')
          .textContent()) ?? '',
        /383x383.*other processes 40%/,
      );
      assert.equal(await page.getByText("Can't be drawn").count(), 0);
    });
  });

  it('kernels: slow ones are left of 1, and what has no place on the axes is said', async function () {
    const file = join(folder, 'kernels.html');
    const names = Array.from({ length: 40 }, (_, i) => `conv 3x3/2 ${i} to 512 +add +relu`);
    const results = names.map((name, i) => kernelResult(name, 1e-3 / (i + 1), 1e-3));
    results.push(kernelResult('a hundredth as fast', 1e-1, 1e-3), kernelResult('without a time', NaN, 1e-3), kernelResult('disturbed', 1e-3, 1e-3, ['stolen time 30%', 'GPU: hardware thermal slowdown'])); // prettier-ignore
    await writeReportPage(file, { ...common, kind: 'kernels', results });
    await openInBrowser(this, file, async (page) => {
      const against = report(page, /^Each operator/);
      const x = async (title: RegExp | string): Promise<number> => (await against.locator('circle', { hasText: title }).first().boundingBox())?.x ?? NaN; // prettier-ignore
      assert.equal(await against.locator('.plot circle').count(), 2 * (results.length - 1));
      const one = (await against.locator('.rule').boundingBox())?.x ?? NaN;
      const all = await against.locator('.plot circle').evaluateAll((dots) => dots.map((dot) => dot.getBoundingClientRect().x));
      assert.equal(all.filter((left) => left < one - 20).length, 2);
      assert.ok((await x(/./)) > 0);
      assert.match(
        (await against.locator('.remark').last().textContent()) ?? '',
        /Can't be drawn: back to back \(NaN, 41\); cold \(NaN, 41\)/,
      );
      assert.equal(await against.locator('.cross').count(), 2);
    });
  });

  it('pipeline: a failed picture is on the timeline, a disturbed window in its plot', async function () {
    const file = join(folder, 'pipeline.html');
    await writeReportPage(file, { ...common, kind: 'pipeline', results: [pipelineResult()] });
    await openInBrowser(this, file, async (page) => {
      assert.equal(
        await report(page, /^Stage timeline/)
          .locator('.cross')
          .count(),
        1,
      );
      assert.equal(
        await report(page, /^Windows/)
          .locator('.cross')
          .count(),
        1,
      );
      const widths = await report(page, /^Stage timeline/)
        .locator('.plot rect')
        .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
      assert.ok(widths.length === 7 && widths.every((width) => width >= 0.9), 'a hundredth of a millisecond in a minute is seen');
    });
  });

  it('evaluation: 80 classes are coloured legibly, and missed, wrong and right differ in the drawings', async function () {
    const file = join(folder, 'evaluation.html');
    await sharp({ create: { width: 400, height: 300, channels: 3, background: '#808080' } }).jpeg().toFile(join(folder, 'flat.jpg')); // prettier-ignore
    await sharp({ create: { width: 40, height: 1600, channels: 3, background: '#808080' } }).jpeg().toFile(join(folder, 'tall.jpg')); // prettier-ignore
    const categories = Array.from({ length: 80 }, (_, i) => ({ id: i + 1, name: `class of things ${i}` }));
    const gone = Array.from({ length: 7 }, (_, i) => `gone${i}.jpg`); // of each no more than a thousand detections count
    const images = ['none.jpg', 'flat.jpg', 'tall.jpg', ...gone].map((file_name, i) => ({ id: i + 1, file_name }));
    const boxAt = (i: number): [number, number, number, number] => [20 * (i % 100), 20 * Math.floor(i / 100), 15, 15];
    const truth: Omit<CocoAnnotations['annotations'][number], 'id'>[] = [];
    const detections: CocoDetection[] = [];
    for (let i = 0; i < 6400; i++) {
      const [is, round] = [1 + (i % 80), Math.floor(i / 80)];
      const seen = is <= 10 ? is + (round % Math.ceil(is / 2)) : i % 3 === 0 ? 1 + round : is; // every share from little to all
      const image_id = 4 + Math.floor(i / 1000);
      truth.push({ image_id, category_id: is, bbox: boxAt(i) });
      detections.push({ image_id, category_id: seen, bbox: boxAt(i), score: 0.9 });
    }
    truth.push({ image_id: 2, category_id: 1, bbox: [40, 150, 60, 60] }, { image_id: 2, category_id: 2, bbox: [280, 150, 60, 60] }, { image_id: 3, category_id: 1, bbox: [5, 5, 30, 30] }); // prettier-ignore
    detections.push({ image_id: 2, category_id: 2, bbox: [160, 150, 60, 60], score: 0.8 }, { image_id: 2, category_id: 2, bbox: [280, 150, 60, 60], score: 0.9 }); // prettier-ignore
    const annotations = { images, categories, annotations: truth.map((one, i) => ({ ...one, id: i + 1 })) };
    const evaluation = evaluateDetections(annotations, detections);
    writeFileSync(
      file,
      await evaluationPage({ subject: 'made up', annotations, detections, evaluation, scoreThreshold: 0.5, images: folder }),
    );
    await openInBrowser(this, file, async (page) => {
      const cells = await page.locator('.matrix td[style]').evaluateAll((all) =>
        all.map((cell) => {
          const { color, backgroundColor } = getComputedStyle(cell);
          return { text: cell.textContent, color, backgroundColor };
        }),
      );
      assert.ok(cells.length > 1500 && cells.every(({ text }) => /^(<1|\d+)$/.test(text)));
      for (const { color, backgroundColor } of cells) assert.ok(contrast(color, backgroundColor) >= 4.5, `${color} on ${backgroundColor}`);
      assert.ok(new Set(cells.map(({ backgroundColor }) => backgroundColor)).size > 5);
      const captions = await page.locator('figcaption').allTextContents();
      for (const caption of captions.slice(0, 7)) assert.match(caption, /^gone\d\.jpg: \d+ missed, \d+ wrong \(it can't be shown: /);
      assert.deepEqual(captions.slice(7), ['flat.jpg: 1 missed, 1 wrong', 'tall.jpg: 1 missed, 0 wrong']);
      const source = await page.locator('.sheet img').first().getAttribute('src');
      const { data, info } = await sharp(Buffer.from(source?.split(',')[1] ?? '', 'base64'))
        .raw()
        .toBuffer({ resolveWithObject: true });
      /** How much of a box's lower side is of a colour. */
      const drawn = (left: number, [red, green, blue]: readonly [number, number, number]): number => {
        const isNear = (x: number): boolean => {
          const at = (210 * info.width + left + x) * 3;
          return Math.hypot((data[at] ?? 0) - red, (data[at + 1] ?? 0) - green, (data[at + 2] ?? 0) - blue) < 70;
        };
        return Array.from({ length: 56 }, (_, x) => x + 2).filter(isNear).length / 56;
      };
      const [blue, orange, purple, white] = [[0x1d, 0x5f, 0xbf], [0xc2, 0x41, 0x0c], [0x7a, 0x1f, 0xa2], [255, 255, 255]] as const; // prettier-ignore
      assert.ok(drawn(280, blue) > 0.95 && drawn(160, orange) > 0.95);
      assert.ok(drawn(40, purple) > 0.2 && drawn(40, white) > 0.2, 'what was missed has dashes');
      assert.deepEqual(await page.locator('.key li').evaluateAll((all) => all.slice(-3).map((entry) => entry.textContent.trim().split(/\W/)[0])), ['right', 'wrong', 'missed']); // prettier-ignore
    });
  });

  it('batch: rare classes, odd names, failures and tall pictures', async function () {
    const file = join(folder, 'report.html');
    const tall = join(folder, 'tall.png');
    await sharp({ create: { width: 30, height: 3000, channels: 3, background: '#336' } }).png().toFile(tall); // prettier-ignore
    const tally = new Tally();
    const detection = (label: string, score: number) => ({ label, classId: 0, score, box: [0, 0, 20, 20] as const });
    const many = Array.from({ length: 150 }, () =>
      detection('a class whose name is so long that no page has room for all of it, as this one', 0.71),
    );
    tally.add({ path: tall }, { image: tall, width: 30, height: 3000, detections: [detection('<b>constructor</b>', 1), ...many] });
    tally.add({ path: tall }, { image: tall, width: 30, height: 3000, detections: [] });
    tally.add({ path: 'x' }, { image: 'x'.repeat(200), error: { code: 'ERR_INPUT', message: 'y'.repeat(300) } });
    const job = { version: 2, created: '2026', cornernet: '1', libtorch: null, weights: { given: 'digits', sha256: '0'.repeat(64) }, precision: 'auto', classes: null, settings: { flip: false }, inputs: [], total: 3 } as const; // prettier-ignore
    const samples = [0, 1, 2, 3].map((i) => ({ time: 1000 * i, done: [0, 900, 901, 902][i] ?? 0, failed: 0 }));
    const summary = { state: 'complete', total: 3, done: 2, failed: 1, pending: 0, errors: { ERR_INPUT: 1 }, detections: 151 } as const;
    await writeReport(file, { ...job, inputs: [], settings: { ...job.settings } }, summary, tally, samples);
    await openInBrowser(this, file, async (page) => {
      const texts = await report(page, /^Objects found of each class/).locator('.plot text').allTextContents(); // prettier-ignore
      assert.ok(texts.includes('<b>constructor</b>') && texts.includes('1') && texts.includes('150'));
      const bars = await report(page, /^Objects found of each class/).locator('.plot rect').evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().width)); // prettier-ignore
      assert.ok(bars.length === 2 && bars.every((width) => width >= 0.9));
      assert.equal(await page.locator('.sheet img').count(), 4);
      assert.match((await page.locator('body').textContent()) ?? '', /ERR_INPUT: y{300}/);
    });
  });

  it('batch: of thousands of boxes in a picture the first 500 are drawn', async function () {
    const file = join(folder, 'crowded.html');
    const grey = join(folder, 'grey.png');
    await sharp({ create: { width: 400, height: 400, channels: 3, background: '#808080' } }).png().toFile(grey); // prettier-ignore
    const tally = new Tally();
    const detections = Array.from({ length: 1000 }, (_, i) => ({
      ...{ label: 'a', classId: i < 500 ? 0 : 1, score: 0.5 }, // blue, then red
      box: i < 500 ? ([20, 20, 180, 380] as const) : ([240, 20, 380, 380] as const),
    }));
    tally.add({ path: grey }, { image: grey, width: 400, height: 400, detections });
    const job = { version: 2, created: '2026', cornernet: '1', libtorch: null, weights: { given: 'digits', sha256: '0'.repeat(64) }, precision: 'auto', classes: null, settings: {}, inputs: [], total: 1 } as const; // prettier-ignore
    await writeReport(file, { ...job, inputs: [] }, { state: 'complete', total: 1, done: 1, failed: 0, pending: 0 }, tally, []);
    const [, picture = ''] = /<img [^>]*src="data:image\/jpeg;base64,([^"]*)"/.exec(readFileSync(file, 'utf8')) ?? [];
    const { data, info } = await sharp(Buffer.from(picture, 'base64')).raw().toBuffer({ resolveWithObject: true });
    const differences = Array.from({ length: data.length / 3 }, (_, i) => (data[3 * i] ?? 0) - (data[3 * i + 2] ?? 0));
    assert.equal(info.channels, 3);
    assert.ok(
      differences.some((redder) => redder < -60),
      'the first are drawn',
    );
    assert.ok(
      differences.every((redder) => redder < 60),
      'the others are not',
    );
  });
});

/** WCAG's contrast of two computed colours. */
function contrast(...colours: [string, string]): number {
  const [a, b] = colours.map((colour) => {
    const levels = (colour.match(/\d+/g) ?? []).slice(0, 3).map((level) => Number(level) / 255);
    const [red = 0, green = 0, blue = 0] = levels.map((level) => (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }) as [number, number];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
