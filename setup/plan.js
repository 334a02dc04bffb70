// Which LibTorch is taken, and how the addon for it is had: decided once, for `cornernet setup`, the install script, a clone's set-up and `doctor`.
'use strict';
const { candidates, flawOf, namedLibtorch } = require('./libtorch.js');
const { findNvcc, missingTools, probeGpus } = require('./machine.js');
const { foreign } = require('./platform.js');
const { packageName, prebuiltFor } = require('./prebuilt.js');
const { SetupError } = require('./run.js');
const { chooseVariant, cudaOf, suits, TORCH_VERSION, VARIANTS } = require('./variant.js');

const AGAIN = 'run `npx cornernet setup` again';

/**
 * @typedef {object} Plan
 * @property {import('./libtorch.js').Libtorch} [libtorch] one that is here; otherwise `fetch` is the build to fetch
 * @property {string} [fetch]
 * @property {string} [prebuilt] the addon that fits; otherwise one is built
 * @property {boolean} cuda whether the addon will have a CUDA side
 * @property {string} [nvcc]
 * @property {string} reason of the choice of the build
 * @property {string} [unused] why the GPUs that are here won't be used, and what would change that
 */

/** Which build a machine wants: CORNERNET_CUDA=0 wants none for a GPU, 1 insists on one. */
function wantedBuild(machine) {
  const choice = process.env.CORNERNET_CUDA ?? '';
  if (!['', '0', '1'].includes(choice)) throw new SetupError(`CORNERNET_CUDA is 0 or 1, not '${choice}'`);
  if (choice === '0') return { variant: 'cpu', reason: `CORNERNET_CUDA=0 leaves the CUDA side out: unset it and ${AGAIN}` };
  const chosen = chooseVariant(machine);
  if (choice !== '1' || chosen.variant !== 'cpu') return chosen;
  const major = Math.floor(machine.nvcc?.version ?? 0);
  const variant = VARIANTS.find((name) => Math.floor(cudaOf(name) ?? -1) === major);
  if (variant) return { variant, reason: `CORNERNET_CUDA=1, and nvcc is of CUDA ${major}` };
  const builds = VARIANTS.filter(cudaOf).map((name) => `--libtorch ${name}`);
  const way = builds.length > 0 ? `: say which CUDA build to take with ${builds.join(' or ')}` : ', with CORNERNET_CUDA unset';
  throw new SetupError(`CORNERNET_CUDA=1, but ${chosen.reason}${way}`);
}

/** How the addon for a LibTorch is had: with `prebuilt` it is there, with `lacks` it can't be had, otherwise it is built. */
function wayTo({ version, variant }, { tools, nvcc }, { cuda, source }) {
  const prebuilt = source ? undefined : prebuiltFor({ version, variant });
  if (prebuilt) return { prebuilt };
  const orPackage = source || version !== TORCH_VERSION ? '' : `, or the package ${packageName(variant)} of this version`;
  if (tools) return { lacks: `${tools}: install a C++20 compiler, CMake 3.18 or newer and make${orPackage}` };
  const major = Math.floor(cudaOf(variant) ?? nvcc?.version ?? 0);
  if (!cuda || (nvcc && Math.floor(nvcc.version) === major)) return {};
  const here = nvcc
    ? `nvcc is of CUDA ${nvcc.version.toFixed(1)}, LibTorch (${variant}) of CUDA ${major}`
    : 'there is no CUDA compiler (nvcc)';
  return { lacks: `${here}: install the toolkit of CUDA ${major || '12 or 13'}${orPackage}` };
}

/** Whether a LibTorch that somebody named serves the GPUs, or has a CUDA side at all where there are none (for use elsewhere). */
function servesGpus({ variant }, machine) {
  return machine.gpus.length === 0 || variant === 'cuda' ? variant !== 'cpu' : suits(variant, machine);
}

/** The LibTorchs to try, best first: those here, with a prebuilt addon before others, and the one that can be fetched. */
function offers({ named, found, asked, machine, wanted }, goal) {
  if (named) return goal.cuda && !servesGpus(named, machine) ? [] : [named];
  const variant = goal.cuda ? wanted.variant : 'cpu';
  const serves = (one) => (asked ? one.variant === asked : !goal.cuda || one.variant === variant || suits(one.variant, machine));
  const rank = (one) => (wayTo(one, machine, goal).prebuilt ? 0 : 2) + (one.variant === variant ? 0 : 1);
  return [...found.filter(serves).sort((a, b) => rank(a) - rank(b)), { version: TORCH_VERSION, variant, fetch: variant }];
}

/**
 * @param {{ libtorch?: string, source?: boolean, tell?: (text: string) => void }} [options] libtorch: a build (cpu, cu126, cu130) or a folder,
 *   default $LIBTORCH; source: build the addon though a prebuilt one fits; tell hears why a LibTorch that is here is passed over
 * @returns {Promise<Plan>}
 */
async function makePlan({ libtorch: given, source = false, tell = () => undefined } = {}) {
  const elsewhere = foreign();
  if (elsewhere) throw new SetupError(elsewhere);
  const libtorch = given ?? process.env.LIBTORCH;
  const asked = VARIANTS.includes(libtorch) ? libtorch : undefined;
  const machine = { ...(await probeGpus()), nvcc: await findNvcc(), tools: await missingTools() };
  const wanted = asked ? { variant: asked, reason: 'it was asked for' } : wantedBuild(machine);
  const named = libtorch && !asked ? await namedLibtorch(libtorch, given !== undefined) : undefined;
  const found = named ? [] : await candidates();
  const withCuda = wanted.variant !== 'cpu' || (named !== undefined && named.variant !== 'cpu' && process.env.CORNERNET_CUDA !== '0');
  let obstacle =
    named && withCuda && !servesGpus(named, machine)
      ? `LIBTORCH names a ${named.variant} build, which has no code for it: unset it`
      : undefined;
  for (const cuda of asked ? [withCuda] : new Set([withCuda, false])) {
    const goal = { cuda, source };
    for (const offer of offers({ named, found, asked, machine, wanted }, goal)) {
      const { prebuilt, lacks } = wayTo(offer, machine, goal);
      const flaw = lacks ?? (offer.fetch || named ? undefined : await flawOf(offer));
      if (flaw !== undefined) {
        if (offer.fetch || named) obstacle ??= flaw;
        else tell(`passing over the LibTorch at ${offer.folder} (${offer.source}): ${flaw}`);
        continue;
      }
      const why = cuda ? undefined : ((obstacle && `${obstacle}, and ${AGAIN}`) ?? wanted.reason);
      const unused = machine.gpus.length > 0 && why ? `the GPU (${machine.gpus[0].name}) is not used: ${why}` : undefined;
      const taken = offer.fetch ? { fetch: offer.fetch } : { libtorch: offer };
      return { ...taken, prebuilt, cuda, nvcc: machine.nvcc?.path, reason: wanted.reason, unused };
    }
  }
  throw new SetupError(`the addon can't be built: ${obstacle}`);
}

module.exports = { makePlan };
