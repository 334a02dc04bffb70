// npx tsx bench/peers/run.ts [--device cuda] [--batch N] [--rounds N] [--peers a,b] [--cases 511,photo] [--json]: this package against its peers on HourglassNet-104.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { median } from '../../lib/bench/statistics.js';
import { fixtures, hourglass104, runQuietly } from '../../test/environment.js';
import { PeerProcess, type Ready } from './child.js';
import { peerEnvironment, type PeerEnvironment } from './environment.js';
import { limitsSchema, type CaseResult, type Limits, type PeerResult, type PeersReport } from './report.js';
import { ratios } from './targets.js';

const explanation = `Inside the clock: of the peers, the network alone, from the normalised input in the device's memory to the finished maps; of ours, everything
from raw pixels to detections (normalising, padding, network, decoding, soft-NMS). 'whole way' is from JPEG files to a written file of JSON, each picture.
Outside: starting, loading, compiling and one forward of warming up. Rounds are interleaved: every peer runs once a round, in turns. Peak memory is
VmHWM after loading and one forward (the exporting peers' includes the export). mmdetection is 3.3.0 itself, its network as its test runs it: the heads of
both levels; its peak is in loading, when the file's tensors lie beside the model's. 'eager-both-heads' is the same network written in plain PyTorch,
which stands in where mmdetection was not measured.`;

type Case = Pick<CaseResult, 'name' | 'width' | 'height' | 'flip' | 'macs'>;

const cases: Case[] = [
  { name: '511', width: 511, height: 511, flip: false, macs: 343e9 },
  { name: 'photo', width: 640, height: 480, flip: true, macs: 515e9 },
];

const cpuPeers = [
  'mmdetection',
  'eager-both-heads',
  'eager',
  'amp',
  'compile',
  'onnxruntime-fp32',
  'openvino-fp32',
  'openvino-bf16',
  'ours-fp32',
  'ours-bf16',
];
const cudaPeers = [
  'mmdetection',
  'mmdetection-tf32',
  'eager-both-heads',
  'eager-both-heads-tf32',
  'eager',
  'amp',
  'compile',
  'onnxruntime-fp32',
  'ours-fp32',
  'ours-fp16',
];

interface Settings {
  readonly device: string;
  readonly rounds: number;
  readonly threads: number;
  readonly batch: number;
  readonly peers: string[];
  readonly checkpoint: string;
  readonly environment: PeerEnvironment;
}

function distance(sample: readonly number[], reference: readonly number[] | undefined): number | null {
  if (!reference) return null;
  const squares = (numbers: number[]): number => numbers.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squares(sample.map((x, i) => x - (reference[i] ?? NaN))) / squares([...reference]));
}

/** A photograph of the case's size, as raw pixels and as the JPEG file they come from. */
async function makePicture(folder: string, { name, width, height }: Case): Promise<{ pixels: string; jpeg: string }> {
  const pixels = join(folder, `${name}.rgb`);
  const jpeg = join(folder, `${name}.jpg`);
  await sharp(join(fixtures, 'photos', 'coffee.png'))
    .resize(width, height, { fit: 'fill' })
    .removeAlpha()
    .jpeg({ quality: 95 })
    .toFile(jpeg);
  writeFileSync(pixels, await sharp(jpeg).raw().toBuffer());
  return { pixels, jpeg };
}

async function start(peer: string, one: Case, files: { pixels: string; jpeg: string }, settings: Settings): Promise<[PeerProcess, Ready]> {
  const { environment, checkpoint, device, threads, batch } = settings;
  const unavailable =
    environment.missing.get(peer.split('-')[0] ?? '') ?? (/^(onnx|openvino)/.test(peer) && environment.missing.get('onnx'));
  if (unavailable) throw new Error(`not installed: ${unavailable}`);
  const args = [
    checkpoint,
    files.pixels,
    String(one.width),
    String(one.height),
    one.flip ? 'flip' : 'plain',
    device,
    String(threads),
    String(batch),
  ];
  const ours = peer.startsWith('ours');
  const process_ = ours
    ? new PeerProcess(process.execPath, ['--import', 'tsx', join(__dirname, 'ours.ts'), peer.slice(5), ...args, files.jpeg])
    : new PeerProcess(environment.python, ['-W', 'ignore', join(__dirname, 'peer.py'), peer, ...args]);
  try {
    return [process_, await process_.ready()];
  } catch (error) {
    process_.close();
    throw error;
  }
}

async function runCase(one: Case, settings: Settings): Promise<CaseResult> {
  const folder = mkdtempSync(join(tmpdir(), 'cornernet-peers-'));
  const running = new Map<string, { process: PeerProcess; ready: Ready; rounds: number[]; network: number[]; whole: number[] }>();
  const missing: Record<string, string> = {};
  try {
    const files = await makePicture(folder, one);
    for (const peer of settings.peers) {
      console.error(`${one.name}: starting ${peer}`);
      try {
        const [process_, ready] = await start(peer, one, files, settings);
        running.set(peer, { process: process_, ready, rounds: [], network: [], whole: [] });
      } catch (error) {
        missing[peer] = (error as Error).message;
      }
    }
    for (let round = 0; round < settings.rounds; ++round) {
      console.error(`${one.name}: round ${round + 1} of ${settings.rounds}`);
      for (const [peer, { process: process_, rounds, network, whole }] of running) {
        const { seconds, networkSeconds } = await process_.measure();
        rounds.push(seconds);
        if (!peer.startsWith('ours')) continue;
        network.push(networkSeconds ?? NaN);
        whole.push((await process_.measure(`whole ${3 * settings.batch}`)).seconds * settings.batch);
      }
    }
  } finally {
    for (const { process: process_ } of running.values()) process_.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const reference = (running.get('eager') ?? running.get('eager-both-heads'))?.ready.sample;
  const peers: Record<string, PeerResult> = {};
  const wholeWay: CaseResult['wholeWay'] = {};
  for (const [peer, { ready, rounds, network, whole }] of running) {
    const seconds = median(rounds);
    peers[peer] = { version: ready.version, peakBytes: ready.peakBytes, rounds, seconds, distance: distance(ready.sample, reference) };
    if (whole.length > 0) wholeWay[peer] = { seconds: median(whole), ratio: median(network.map((alone, i) => alone / (whole[i] ?? NaN))) };
  }
  return { ...one, peers, missing, wholeWay, roofline: {}, ratios: ratios(new Map(Object.entries(peers)), settings.device !== 'cpu') };
}

function roofline({ peers, macs, flip }: CaseResult, { batch }: Settings, { matmulFlops }: Limits): Record<string, number> {
  const flops = 2 * macs * batch * (flip ? 2 : 1);
  const ours = Object.entries(peers).filter(([peer]) => peer.startsWith('ours'));
  return Object.fromEntries(ours.map(([peer, { seconds }]) => [peer, flops / seconds / (matmulFlops[peer.slice(5)] ?? NaN)]));
}

function print({ name, width, height, flip, peers, missing, wholeWay, roofline: shares, ratios: found }: CaseResult): void {
  console.log(`\n${name}: ${width}x${height}, ${flip ? 'plain and mirrored' : 'one view'}`);
  for (const [peer, { seconds, peakBytes, version, distance: off }] of Object.entries(peers)) {
    const agreement = off === null ? '' : `, logits ${(off * 100).toFixed(2)}% off`;
    console.log(
      `  ${peer.padEnd(22)} ${seconds.toFixed(3).padStart(8)} s, peak ${(peakBytes / 1e9).toFixed(2)} GB, ${version}${agreement}`,
    );
  }
  for (const [peer, reason] of Object.entries(missing)) console.log(`  ${peer.padEnd(22)} could not be run: ${reason}`);
  for (const { ours, peer, what, goal, ratio, met } of found) {
    const target = `${what === 'speed' ? 'at least' : 'at most'} ${goal}x`;
    const outcome = ratio === null ? 'not measured' : `${ratio.toFixed(2)}x (${met === true ? 'met' : 'missed'})`;
    console.log(`  ${what} of ${ours} against ${peer}: ${outcome}, target ${target}`);
  }
  for (const [peer, share] of Object.entries(shares)) console.log(`  ${peer}: ${(share * 100).toFixed(0)}% of the measured matmul peak`);
  for (const [peer, { seconds, ratio }] of Object.entries(wholeWay)) {
    console.log(
      `  whole way, ${peer}: ${seconds.toFixed(3)} s a batch, ${ratio.toFixed(2)}x the speed of the network alone, target at least 0.95x`,
    );
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      device: { type: 'string', default: 'cpu' },
      rounds: { type: 'string', default: '7' },
      batch: { type: 'string', default: '1' },
      threads: { type: 'string', default: String(availableParallelism()) },
      peers: { type: 'string' },
      cases: { type: 'string', default: cases.map(({ name }) => name).join(',') },
      checkpoint: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const cuda = values.device !== 'cpu';
  const settings: Settings = {
    device: values.device,
    rounds: Number(values.rounds),
    threads: Number(values.threads),
    batch: Number(values.batch),
    peers: values.peers?.split(',') ?? (cuda ? cudaPeers : cpuPeers),
    environment: await peerEnvironment(cuda),
    checkpoint: values.checkpoint ?? (await hourglass104()),
  };
  if (![settings.rounds, settings.threads, settings.batch].every((n) => Number.isInteger(n) && n >= 1)) {
    throw new Error('--rounds, --threads and --batch must be whole numbers of at least 1');
  }
  const limits = limitsSchema.parse(
    JSON.parse(await runQuietly(settings.environment.python, [join(__dirname, 'limits.py'), settings.device, String(settings.threads)])),
  );
  const wanted = values.cases.split(',');
  const results: CaseResult[] = [];
  for (const one of cases.filter(({ name }) => wanted.includes(name))) results.push(await runCase(one, settings));
  for (const result of results) result.roofline = roofline(result, settings, limits);
  const { device, rounds, threads, batch } = settings;
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, load: loadavg()[0] ?? 0 };
  const report: PeersReport = {
    date: new Date().toISOString(),
    machine,
    limits,
    device,
    rounds,
    threads,
    batch,
    insideTheClock: explanation,
    cases: results,
  };
  if (values.json) {
    console.log(JSON.stringify(report, null, 2));
  } else {
    console.log(
      `${explanation}\n\n${machine.cpu}, ${machine.cores} cores, load ${machine.load.toFixed(1)}, ${threads} threads, batch ${batch}, medians of ${rounds} rounds`,
    );
    results.forEach(print);
  }
}

void main();
