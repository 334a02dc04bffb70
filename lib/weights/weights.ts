// The known weights: the published checkpoints and the small one that comes with the package.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { z } from 'zod';

import { weightsFolder } from './cache.js';
import { download, type DownloadRequest } from './download.js';
import { CornerNetError, sentenceOf } from '../errors.js';
import { listenerSchema, signalSchema } from '../options/controls.js';
import { packagePath, packageText } from '../package.js';
import { unwritable } from '../output-file.js';
import { openRegular } from '../regular-file.js';
import { script } from '../setup.js';
import { suggestion, validated } from '../validation.js';

/** One of the known weights. */
export interface WeightsEntry {
  readonly id: string;
  /** mmdetection's name of the configuration. */
  readonly config: string;
  readonly url?: string;
  /** In the package's weights folder. */
  readonly file?: string;
  /** The whole sha256, or of published files the eight digits that their names end in, which is all that the publisher states. */
  readonly sha256: string;
  /** How many classes they detect. */
  readonly classes: number;
  /** What it was trained with: cards x pictures. */
  readonly batch?: string;
  /** COCO AP as published, in points; for the digits, on their own validation set. */
  readonly ap: number;
  /** Whether their configuration tests with the mirrored view. */
  readonly flip: boolean;
  readonly scoreThreshold: number;
  /** Pixels of the square pictures that they were trained on. */
  readonly trainedSide: number;
}

interface Manifest {
  /** On the digests. */
  readonly note: string;
  /** The id of the weights used where none are named. */
  readonly default: string;
  readonly weights: readonly WeightsEntry[];
}

/** Where the bytes of weights are, and how their configuration tests them. */
export interface ResolvedWeights {
  readonly path: string;
  readonly flip: boolean | undefined;
  readonly scoreThreshold: number;
  /** The manifest's entry, unless a path was given. */
  readonly entry?: WeightsEntry;
}

let manifest: Manifest | undefined;

/** Comes with the package, whose tests check it. */
function readManifest(): Manifest {
  return (manifest ??= JSON.parse(packageText('weights', 'manifest.json')) as Manifest);
}

/** The weights the package knows by name. */
export function listWeights(): readonly WeightsEntry[] {
  return readManifest().weights;
}

/** The weights used where none are named. */
export function defaultWeights(): string {
  return readManifest().default;
}

/** Where an entry's file is or will be. */
export function weightsPath(entry: WeightsEntry): string {
  return entry.file === undefined
    ? join(weightsFolder(), basename(new URL(entry.url ?? '').pathname))
    : packagePath('weights', entry.file);
}

/** The known weights of this id or configuration's name. */
export function findWeights(id: string): WeightsEntry | undefined {
  return listWeights().find((entry) => entry.id === id || entry.config === id);
}

function unknownWeights(name: string): CornerNetError {
  const known = listWeights().map(({ id }) => id);
  return new CornerNetError(
    'ERR_WEIGHTS',
    `there are no weights ${name}${suggestion(name, known)}: neither a file nor one of ${known.join(', ')}`,
  );
}

/**
 * An id of the manifest or a path.
 * @throws {CornerNetError} `ERR_WEIGHTS` when the published weights weren't fetched yet, or nothing is at the path.
 */
export function resolveWeights(idOrPath: string): ResolvedWeights {
  const entry = findWeights(idOrPath);
  if (entry) {
    const path = weightsPath(entry);
    if (!existsSync(path)) {
      throw new CornerNetError(
        'ERR_WEIGHTS',
        `the weights ${entry.id} are not here yet (${path}): run \`npx cornernet weights fetch ${entry.id}\``,
      );
    }
    return { path, flip: entry.flip, scoreThreshold: entry.scoreThreshold, entry };
  }
  if (!existsSync(idOrPath)) {
    throw unknownWeights(idOrPath);
  }
  return { path: idOrPath, flip: undefined, scoreThreshold: 0.3 };
}

/** @throws {CornerNetError} `ERR_INPUT` when the file can't be read. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline((await openRegular(file)).file.createReadStream(), hash);
  } catch (error) {
    throw new CornerNetError('ERR_INPUT', `${file} can't be read: ${sentenceOf(error)}`, { cause: error });
  }
  return hash.digest('hex');
}

/** What {@link verifyWeights} found. */
export interface WeightsVerification {
  readonly sha256: string;
  readonly bytes: number;
  /** The known weights that these are. */
  readonly entry?: WeightsEntry;
}

/**
 * Takes a file's sha256 and holds it against the one its name promises (torch's habit: `name-<first digits>.pth`), the manifest's, and the one beside
 * it (`<file>.sha256`, as sha256sum writes it and {@link fetchWeights} does).
 * @throws {CornerNetError} `ERR_CHECKPOINT` when it is another or `<file>.sha256` holds none, `ERR_INPUT` when the file can't be read.
 */
export async function verifyWeights(file: string): Promise<WeightsVerification> {
  const digest = await sha256(file);
  const named = /-([0-9a-f]{8,64})\.pth$/.exec(basename(file))?.[1] ?? listWeights().find((entry) => entry.file === basename(file))?.sha256;
  const pinned = script('pin.js').pinnedDigest(file);
  if (pinned === '') throw new CornerNetError('ERR_CHECKPOINT', `${file}: ${script('pin.js').pinChange(file, digest) ?? ''}`);
  const promised = [named, pinned].find((one) => one !== undefined && !digest.startsWith(one));
  if (promised !== undefined) {
    throw new CornerNetError('ERR_CHECKPOINT', `${file} has the sha256 ${digest}, not ${promised}${promised.length < 64 ? '...' : ''}: it is damaged or another file`);
  }
  const entry = listWeights().find((known) => digest.startsWith(known.sha256));
  return { sha256: digest, bytes: (await stat(file)).size, ...(entry && { entry }) };
}

/** @throws {CornerNetError} `ERR_CHECKPOINT` when what is there has the publisher's digits and yet is not what was fetched first. */
async function isFetched(file: string, entry: WeightsEntry): Promise<boolean> {
  if (!existsSync(file)) return false;
  const digest = await sha256(file);
  if (!digest.startsWith(entry.sha256)) return false;
  let change: string | undefined;
  try {
    change = script('pin.js').holdPin(file, digest);
  } catch (error) {
    throw unwritable(`${file}.sha256`, error);
  }
  if (change !== undefined) throw new CornerNetError('ERR_CHECKPOINT', `${file}: ${change}`);
  return true;
}

/** @throws {CornerNetError} `ERR_OPTION`. */
function mirrored(mirror: string, name: string): string {
  try {
    return new URL(name, mirror.endsWith('/') ? mirror : `${mirror}/`).href;
  } catch {
    throw new CornerNetError('ERR_OPTION', `the mirror ${mirror} is no URL`);
  }
}

/** Options of {@link fetchWeights}. */
export interface FetchWeightsOptions extends Omit<DownloadRequest, 'url' | 'file' | 'sha256' | 'pin'> {
  /** A folder's URL that has the files under the same names. */
  readonly mirror?: string | undefined;
}

const milliseconds = z.number().min(0).max(2 ** 31 - 1).optional(); // prettier-ignore
const fetchSchema = z.strictObject({
  ...{ mirror: z.string().optional(), stallMs: milliseconds, pauseMs: milliseconds },
  ...{ signal: signalSchema, onProgress: listenerSchema },
});

/**
 * Fetches published weights into the cache over https, going on where an interrupted fetch stopped, and verifies their sha256: its first eight digits,
 * which are the publisher's, and from the first fetch on all of it. What is in the cache already and is damaged is fetched again.
 * Honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
 * @returns the file's path.
 * @throws {CornerNetError} `ERR_DOWNLOAD`; `ERR_WEIGHTS` for an unknown id; `ERR_CHECKPOINT` when the cached file is another than was fetched first; `ERR_OPTION`.
 */
export async function fetchWeights(id: string, options: FetchWeightsOptions = {}): Promise<string> {
  validated(fetchSchema, options, { code: 'ERR_OPTION', what: 'option' });
  if (typeof id !== 'string') throw new CornerNetError('ERR_OPTION', 'weights are fetched by an id that listWeights has');
  const entry = findWeights(id);
  if (!entry) throw unknownWeights(id);
  const file = weightsPath(entry);
  if (entry.url === undefined) return file;
  const { mirror, ...rest } = options;
  const url = mirror === undefined ? entry.url : mirrored(mirror, basename(file));
  if (!(await isFetched(file, entry))) await download({ url, file, sha256: entry.sha256, pin: true, ...rest });
  return file;
}
