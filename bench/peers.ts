// npx tsx bench/peers.ts [--device cuda] [--threads N] [--batch N] [--sizes 511x511x1,640x480x2] [--peers a,b] [--checkpoint FILE] [--calibration N] [--calibrated FILE]: beside other software.
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { total } from '../lib/bench/model.js';
import { computePeak, measurePeak } from '../lib/bench/peaks.js';
import type { FixedPrecision, Peak } from '../lib/bench/schema.js';
import { loadNative } from '../lib/native.js';
import { memoryOf } from '../lib/proc.js';
import { quantize } from '../lib/quantize/quantize.js';
import { fixtures, hourglass104 } from '../test/environment.js';
import { random } from '../test/support/batch.js';
import { Child } from './child.js';
import { install, peerPython } from './environment.js';
import { run, wholeNumber, type Against, type Candidate, type Case, type Turn } from './harness.js';
import type { DetectSettings } from './ours.js';

const insideTheClock =
  'of the peers, the network alone, from the normalised input in the device’s memory to the finished maps; of ours, everything from raw pixels to ' +
  'detections (normalising, padding, network, decoding, soft-NMS). Whole way: a batch from JPEG files to a written file of JSON; of network: its speed as ' +
  'a part of the same detector’s network alone, at least 0.95 wanted. Outside: starting, loading, compiling and a forward of warming up. Peak memory is ' +
  'VmHWM after loading and one forward (the exporting peers’ includes the export). Distance: relative root mean square of the heatmap’s logits to ' +
  'PyTorch’s in fp32. Of peak: operations a second by the measured compute peak. mmdetection is 3.3.0 itself, its network as its test runs it: the heads of ' +
  'both levels; its peak is in loading, when the file’s tensors lie beside the model’s. eager-both-heads is the same network in plain PyTorch, which ' +
  'stands in where mmdetection was not measured. int8 is calibrated, outside the clock, with the same pictures of the case’s size: ours by quantize, ' +
  'OpenVINO’s by NNCF’s post-training quantisation; what both leave in 16 bits is bf16.';

const bothHeads = ['mmdetection', 'eager-both-heads'];
const bothHeadsTf32 = ['mmdetection-tf32', 'eager-both-heads-tf32'];
const devices: Record<'cpu' | 'cuda', { peers: readonly string[]; against: readonly Against[] }> = {
  cpu: {
    peers: [
      ...bothHeads,
      'eager',
      'amp',
      'compile',
      'onnxruntime-fp32',
      'openvino-fp32',
      'openvino-bf16',
      'openvino-int8',
      'ours-fp32',
      'ours-bf16',
      'ours-int8',
    ],
    against: [
      { ours: 'ours-int8', peers: ['openvino-bf16'], what: 'speed', goal: 1.7 },
      { ours: 'ours-int8', peers: ['openvino-int8'], what: 'speed', goal: 1 },
      { ours: 'ours-int8', peers: ['ours-bf16'], what: 'memory', goal: 0.7 },
      { ours: 'ours-bf16', peers: bothHeads, what: 'speed', goal: 3 },
      { ours: 'ours-bf16', peers: ['openvino-bf16'], what: 'speed', goal: 1 },
      { ours: 'ours-fp32', peers: ['onnxruntime-fp32'], what: 'speed', goal: 1 },
      { ours: 'ours-fp32', peers: ['openvino-fp32'], what: 'speed', goal: 1 },
      { ours: 'ours-bf16', peers: bothHeads, what: 'memory', goal: 0.5 },
    ],
  },
  cuda: {
    peers: [...bothHeads, ...bothHeadsTf32, 'eager', 'amp', 'compile', 'onnxruntime-fp32', 'ours-fp32', 'ours-fp16'],
    against: [
      { ours: 'ours-fp16', peers: bothHeads, what: 'speed', goal: 12 },
      { ours: 'ours-fp16', peers: bothHeadsTf32, what: 'speed', goal: 4 },
      { ours: 'ours-fp16', peers: ['amp'], what: 'speed', goal: 1.5 },
      { ours: 'ours-fp16', peers: ['compile'], what: 'speed', goal: 1 },
    ],
  },
};

const wholeWayBatches = 3;
const precisionOf = (peer: string): FixedPrecision => peer.slice(5) as FixedPrecision; // ours-fp32

function distance(sample: readonly number[], reference: readonly number[]): number {
  const squares = (numbers: readonly number[]): number => numbers.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squares(sample.map((x, i) => x - (reference[i] ?? NaN))) / squares(reference));
}

/** A photograph of the case's size, as raw pixels and as the JPEG file they come from. */
async function makePicture(folder: string, width: number, height: number): Promise<Pick<DetectSettings, 'pixels' | 'jpeg'>> {
  const [pixels, jpeg] = [join(folder, `${width}x${height}.rgb`), join(folder, `${width}x${height}.jpg`)];
  const photo = sharp(join(fixtures, 'photos', 'coffee.png')).removeAlpha();
  await photo.resize(width, height, { fit: 'fill' }).jpeg({ quality: 95 }).toFile(jpeg);
  await writeFile(pixels, await sharp(jpeg).raw().toBuffer());
  return { pixels, jpeg };
}

/** Parts of the photographs at random places, of the case's size: the same each time. */
async function makeCalibration(folder: string, width: number, height: number, count: number): Promise<string> {
  const made = join(folder, `calibration-${width}x${height}`);
  await mkdir(made);
  const photos = ['astronaut', 'coffee', 'chelsea'].map((name) => join(fixtures, 'photos', `${name}.png`));
  const draw = random(1);
  for (let i = 0; i < count; i++) {
    const photo = sharp(photos[i % photos.length]).removeAlpha();
    const { width: most, height: high } = await photo.metadata();
    const part = 0.4 + 0.6 * draw();
    const [partWidth, partHeight] = [Math.floor(most * part), Math.floor(high * part)];
    const [left, top] = [Math.floor((most - partWidth) * draw()), Math.floor((high - partHeight) * draw())];
    const jpeg = join(made, `${String(i).padStart(4, '0')}.jpg`);
    await photo
      .extract({ left, top, width: partWidth, height: partHeight })
      .resize(width, height, { fit: 'fill' })
      .jpeg({ quality: 95 })
      .toFile(jpeg);
    await writeFile(jpeg.replace('.jpg', '.rgb'), await sharp(jpeg).raw().toBuffer());
  }
  return made;
}

interface Shared {
  /** Makes the calibrated checkpoint, once. */
  readonly calibrated: () => Promise<string>;
  readonly python: string;
  readonly peaks: readonly Peak[];
  /** Of each peer's logits. */
  readonly samples: Map<string, readonly number[]>;
}

async function start(peer: string, settings: DetectSettings, { calibrated, python, peaks, samples }: Shared): Promise<Candidate> {
  const ours = peer.startsWith('ours');
  const { device, width, height, views, batch } = settings;
  if (!ours) await install(python, peer.split('-')[0] ?? '', device !== 'cpu');
  if (peer === 'openvino-int8') await install(python, 'nncf', false);
  const precision = precisionOf(peer);
  const file = precision === 'int8' && ours ? await calibrated() : settings.file;
  const child = await Child.start('detect', { ...settings, file, ...(ours ? { precision } : { runner: peer }) }, ours ? undefined : python);
  const close = () => child.close();
  const { version, sample = [] } = await child.ready().catch((error: unknown) => close().then(() => Promise.reject(error as Error)));
  const held = memoryOf(child.pid, 'VmHWM');
  samples.set(peer, sample);
  const turn = async (): Promise<Turn> => {
    const reference = samples.get('eager') ?? samples.get('eager-both-heads');
    const measured: Turn = { ...(await child.turn()), peakBytes: held, ...(reference && { distance: distance(sample, reference) }) };
    if (!ours) return measured;
    const wholeWaySeconds = (await child.turn('whole')).seconds / wholeWayBatches;
    const wholeWayOfNetwork = (measured['networkSeconds'] ?? NaN) / wholeWaySeconds;
    const { flops } = total(loadNative().networkWork({ width, height, views: views * batch, precision }));
    const peak = peaks.find((one) => one.precision === precision) as Peak;
    return { ...measured, wholeWaySeconds, wholeWayOfNetwork, ofPeak: flops / measured.seconds / computePeak(peak) };
  };
  return { version, turn, close };
}

void run({
  kind: 'peers',
  insideTheClock,
  options: {
    device: 'cpu',
    threads: String(availableParallelism()),
    batch: '1',
    sizes: '511x511x1,640x480x2',
    peers: '',
    checkpoint: '',
    calibration: '32',
    calibrated: '',
  },
  rounds: 7,
  warmUpRounds: 0,
  prepare: async (values, folder) => {
    const device = values.device === 'cuda' ? 'cuda:0' : values.device;
    const { peers: all, against } = devices[device === 'cpu' ? 'cpu' : 'cuda'];
    const peers = values.peers === '' ? all : values.peers.split(',');
    const unknown = peers.find((peer) => !all.includes(peer));
    if (unknown !== undefined) throw new Error(`there is no peer '${unknown}' on ${device} but ${all.join(', ')}`);
    const [threads, batch] = [wholeNumber('threads', values.threads), wholeNumber('batch', values.batch)];
    const python = await peerPython(device !== 'cpu');
    const file = values.checkpoint || (await hourglass104());
    const peaks: Peak[] = [];
    for (const peer of peers.filter((one) => one.startsWith('ours'))) peaks.push(await measurePeak(device, precisionOf(peer), threads, 1));
    const makeCase = async (size: string): Promise<Case> => {
      const [width = 0, height = 0, views = 0] = size.split('x').map((side) => wholeNumber('sizes', side));
      const whole = { output: join(folder, 'whole.jsonl'), wholeWayBatches };
      const int8 = peers.some((peer) => peer === 'openvino-int8' || (peer === 'ours-int8' && values.calibrated === ''));
      const calibration = int8 ? await makeCalibration(folder, width, height, wholeNumber('calibration', values.calibration)) : '';
      const settings = {
        file,
        calibration,
        device,
        threads,
        batch,
        width,
        height,
        views,
        ...whole,
        ...(await makePicture(folder, width, height)),
      };
      const output = join(folder, `int8-${size}.pth`);
      let quantizing: Promise<unknown> | undefined;
      const calibrated = async (): Promise<string> => {
        if (values.calibrated !== '') return values.calibrated;
        await (quantizing ??= quantize({ weights: file, images: calibration, output, threads }));
        return output;
      };
      const shared = { calibrated, python, peaks, samples: new Map<string, readonly number[]>() };
      const candidates = Object.fromEntries(peers.map((peer) => [peer, () => start(peer, settings, shared)]));
      return { setting: `HourglassNet-104, ${device}, ${threads} threads, batch ${batch}`, candidates, against };
    };
    return { device, peaks, cases: Object.fromEntries(values.sizes.split(',').map((size) => [size, () => makeCase(size)])) };
  },
});
