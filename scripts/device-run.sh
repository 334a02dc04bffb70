#!/usr/bin/env bash
# Builds for a device, runs every test that touches it and every benchmark on it, and brings the figures into a folder: one command for a machine with a GPU.
#   scripts/device-run.sh [--device cuda|cpu] [--out FOLDER] [--steps NAME,...] [--checkpoint FILE.pth] [--machine NAME] [--peers NAME,...]
#     --device      cuda (default), or cpu to rehearse: the same steps, small, whose figures are worth nothing
#     --out         default: bench/results, output/rehearsal on the cpu; logs/ in it has what each step printed
#     --steps       some of them: build, test, sanitize, stress, model, kernels, pipeline, timeline, peers; some are several, each with a name of its own
#                   (--steps list)
#     --checkpoint  HourglassNet-104 (default: the tests' own, drawn once by a Python with torch)
#     --machine     its name in the files' names (default: the GPU's or the CPU's)
#     --peers       some of bench/peers.ts' (default: all; torch.compile's autotuning may need a first call that runs out of time, and remembers)
# No npm: it needs Node, node_modules/, CMake, a C++ compiler, nvcc for cuda, and LIBTORCH or a python3 that has torch. Every step has a time limit below
# ten minutes, so that a machine that is lent for short spans can be used span by span; a later span needs `build` only where build/ was not kept.
set -euo pipefail
cd "$(dirname "$0")/.."

device=cuda out='' wanted='' checkpoint='' machine='' peers=''
while [ $# -gt 0 ]; do
  case "$1" in
    --device | --out | --steps | --checkpoint | --machine | --peers)
      [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 1; }
      case "$1" in
        --device) device=$2 ;;
        --out) out=$2 ;;
        --steps) wanted=$2 ;;
        --checkpoint) checkpoint=$2 ;;
        --machine) machine=$2 ;;
        --peers) peers=$2 ;;
      esac
      shift 2
      ;;
    *) sed -n '2,/^set /{/^#/p}' "scripts/$(basename "$0")" >&2; exit 1 ;;
  esac
done
case "$device" in
  cuda) steps=(build test sanitize-memcheck sanitize-racecheck sanitize-initcheck sanitize-synccheck stress model-fp16-511x511 model-fp16-640x480 model-fp32-511x511 model-fp32-640x480 kernels pipeline timeline peers-511x511x1 peers-640x480x2) ;;
  cpu) steps=(build test sanitize-memcheck stress model-fp32-127x127 kernels pipeline timeline peers-127x127x1) ;;
  *) echo "--device is cuda or cpu, not '$device'" >&2; exit 1 ;;
esac
if [ "$wanted" = list ]; then printf '%s\n' "${steps[@]}"; exit; fi

# A step's name, or the beginning of several.
chosen=()
for name in ${wanted//,/ }; do
  found=()
  for step in "${steps[@]}"; do if [[ $step == "$name" || $step == "$name"-* ]]; then found+=("$step"); fi; done
  [ ${#found[@]} -gt 0 ] || { echo "there is no step '$name' on $device: ${steps[*]}" >&2; exit 1; }
  chosen+=("${found[@]}")
done
[ -n "$wanted" ] || chosen=("${steps[@]}")

[ -n "$out" ] || { [ "$device" = cuda ] && out=bench/results || out=output/rehearsal; }
mkdir -p "$out/logs"
out=$(cd "$out" && pwd)

slug() { tr '[:upper:]' '[:lower:]' | sed -E 's/\((r|tm)\)//g; s/\b(cpu|processor)\b.*//; s/[^a-z0-9]+/-/g; s/^-+|-+$//g'; }
if [ -z "$machine" ]; then
  if [ "$device" = cuda ]; then
    command -v nvidia-smi > /dev/null || { echo 'no NVIDIA driver was found: nvidia-smi is not on the path' >&2; exit 1; }
    machine=$(nvidia-smi --query-gpu=name --format=csv,noheader | sed -n 1p | slug)
  else
    machine=$(sed -n '/^model name\s*: /{s///p;q}' /proc/cpuinfo | slug)-$(nproc)-cores
  fi
fi
# A Python that has torch already serves the tests and the peers too: a machine with a GPU often reaches no package index.
if [ -z "${CORNERNET_PYTHON:-}" ] && python3 -c 'import torch, numpy' 2> /dev/null; then export CORNERNET_PYTHON=python3; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export device out machine checkpoint peers work

# --- what steps share

cornernet() { node dist/cli.js "$@"; }

# keep FILE KIND: into the folder, named by its own date, as bench/results has them.
keep() {
  local name
  name="$(node -p 'require(process.argv[1]).date.slice(0, 10)' "$1")-$machine-$2.json"
  mv -f "$1" "$out/$name"
  echo "wrote $name"
}

hourglass104() {
  if [ -n "$checkpoint" ]; then echo "$checkpoint"; return; fi
  node --import tsx -e "require('./test/environment.ts').hourglass104().then((file) => console.log(file))" | tail -1
}

# --- the steps; the folder is the package's, and every command that fails ends its step

step_build() {
  local libtorch=${LIBTORCH:-} options=()
  if [ -z "$libtorch" ]; then
    [ -n "${CORNERNET_PYTHON:-}" ] || { echo 'no LibTorch was found: set LIBTORCH, or have a python3 with torch and numpy on the path' >&2; exit 1; }
    libtorch=$("$CORNERNET_PYTHON" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
  fi
  if [ "$device" = cuda ]; then
    command -v nvcc > /dev/null || export CUDACXX="${CUDACXX:-/usr/local/cuda/bin/nvcc}"
    # For the GPUs that are here alone: every architecture takes several times as long.
    options+=(-DCORNERNET_CUDA=1 -DCORNERNET_CUDA_ARCHITECTURES="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | tr -d . | sort -u | paste -sd';')")
  fi
  # CMake refuses to change its generator.
  if [ ! -f build/CMakeCache.txt ] && command -v ninja > /dev/null; then options+=(-G Ninja); fi
  cmake -S . -B build -DLIBTORCH="$libtorch" -DCORNERNET_TESTING=ON "${options[@]}"
  cmake --build build --parallel "$(nproc)"
  node scripts/build-dist.js
  # Without this, everything that follows would skip or run on the CPU.
  node -e '
    const addon = require("./build/Release/cornernet.node"), gpus = addon.gpuInfo();
    console.log(JSON.stringify({ ...addon.buildInfo(), ...gpus }));
    if (process.env.device === "cuda" && gpus.devices[0]?.obstacle !== "") throw new Error(gpus.devices[0]?.obstacle ?? "the build sees no GPU");
  '
}

# What compares with a device of its own, or takes the GPU where there is one.
step_test() {
  node node_modules/mocha/bin/mocha.js --no-config --import=tsx --reporter scripts/mocha-reporter.cjs --timeout 60000 \
    test/native/native.test.ts test/parity/cuda.test.ts test/unit/detector.test.ts test/unit/replicas.test.ts \
    test/process/exit.test.ts test/process/event-loop.test.ts test/process/memory.test.ts
  node node_modules/mocha/bin/mocha.js --no-config --import=tsx --reporter scripts/mocha-reporter.cjs --timeout 60000 \
    --grep GPU test/process/train-together.test.ts
}

# with TOOL ARGUMENT...: one of CUDA's tools, which look at nothing on the CPU and are not everywhere.
with() {
  if [ "$device" = cpu ]; then
    echo "not on the CPU: $*"
    return
  fi
  if ! command -v "$1" > /dev/null; then PATH="$PATH:/usr/local/cuda/bin"; fi
  if ! command -v "$1" > /dev/null; then
    echo "skipped: $1 is not installed"
    return
  fi
  "$@"
}

# step_sanitize TOOL: the kernels' and the engine's native tests that take the GPU, a tiny network's among them.
step_sanitize() {
  cmake --build build --target native_tests --parallel "$(nproc)"
  with compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20 build/native_tests '(GPU)'
}

step_stress() { node --import tsx bench/stress.ts --device "$device" --seconds "$([ "$device" = cuda ] && echo 240 || echo 10)"; }

# What the device did in its last 200 ms, and for how long it did nothing: bench/timeline.cpp, whose records follow its summary in the log's folder.
step_timeline() {
  if [ "$device" = cpu ]; then
    echo 'not on the CPU'
    return
  fi
  local toolkit headers libraries
  toolkit=$(PATH="$PATH:/usr/local/cuda/bin" command -v nvcc)
  toolkit=${toolkit%/bin/nvcc}
  headers=$(find -L "$toolkit" -name cupti.h -printf '%h\n' -quit)
  libraries=$(find -L "$toolkit" -name 'libcupti.so' -printf '%h\n' -quit)
  if [ -z "$headers" ] || [ -z "$libraries" ]; then
    echo 'skipped: the CUDA toolkit here has no CUPTI'
    return
  fi
  g++ -std=c++20 -O2 -shared -fPIC -I"$toolkit/include" -I"$headers" bench/timeline.cpp -o "$work/timeline.so" -L"$libraries" -Wl,-rpath,"$libraries" -lcupti
  CUDA_INJECTION64_PATH="$work/timeline.so" CORNERNET_TIMELINE="$out/logs/timeline.tsv" CORNERNET_TIMELINE_MS=200 \
    node dist/cli.js bench model --device cuda --weights "$(hourglass104)" --precision fp16 --sizes 511x511 --batch 8 --views 2 --duration 3 --window 1
  grep '^#' "$out/logs/timeline.tsv"
}

# step_model PRECISION SIZE
step_model() {
  if [ "$device" = cuda ]; then
    cornernet bench model --device cuda --weights "$(hourglass104)" --precision "$1" --sizes "$2" --batch 1,8,16,32 --views 1,2 \
      --duration 8 --window 1 --json "$work/model.json"
  else
    cornernet bench model --device cpu --precision "$1" --sizes "$2" --batch 1,2 --views 1,2 --duration 2 --window 0.2 --json "$work/model.json"
  fi
  keep "$work/model.json" "$1-$2-model"
}

step_kernels() {
  if [ "$device" = cuda ]; then
    cornernet bench kernels --device cuda --precision fp16,fp32 --sizes 511x511 --duration 0.5 --json "$work/kernels.json"
  else
    cornernet bench kernels --device cpu --precision fp32 --sizes 127x127 --operators pool_pair,upsample_add --duration 0.05 --json "$work/kernels.json"
  fi
  keep "$work/kernels.json" kernels
}

step_pipeline() {
  if [ "$device" = cuda ]; then
    # JPEGs as large as COCO's.
    node -e '
      const sharp = require("sharp");
      for (const name of ["astronaut", "chelsea", "coffee"])
        sharp(`test/fixtures/photos/${name}.png`).removeAlpha().resize(640, 480, { fit: "fill" }).jpeg({ quality: 95 }).toFile(`${process.env.work}/${name}.jpg`);
    '
    cornernet bench pipeline "$work"/*.jpg --device cuda --weights "$(hourglass104)" --batch 8 --json "$work/pipeline.json"
  else
    cornernet bench pipeline test/fixtures/digits/val/*.jpg --device cpu --precision fp32 --duration 2 --window 0.5 --json "$work/pipeline.json"
  fi
  keep "$work/pipeline.json" pipeline
}

# step_peers SIZE
step_peers() {
  local options=(--rounds 15 ${peers:+--peers "$peers"})
  [ "$device" = cuda ] || options=(--rounds 1 --peers "${peers:-eager,ours-fp32}")
  node --import tsx bench/peers.ts --device "$device" --checkpoint "$(hourglass104)" --sizes "$1" --json "$work/peers.json" "${options[@]}"
  keep "$work/peers.json" "peers-$1"
}

# Seconds; the longest are below ten minutes.
limit_of() {
  case "$1" in
    model-*) echo 290 ;;
    pipeline) echo 240 ;;
    *) echo 570 ;;
  esac
}

# --- running them

export -f cornernet keep hourglass104 with step_build step_test step_sanitize step_stress step_timeline step_model step_kernels step_pipeline step_peers

{
  echo "$machine, $(uname -r), $(date -u +%FT%TZ), load $(cut -d' ' -f1-3 /proc/loadavg): ${chosen[*]}"
  if [ "$device" = cuda ]; then
    nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu --format=csv
  fi
} | tee "$out/logs/machine.txt"

summary=() failed=0
for step in "${chosen[@]}"; do
  echo "=== $step"
  function=step_${step%%-*} # and what follows the name are its arguments
  arguments=${step#"${step%%-*}"}
  begin=$SECONDS code=0
  # In the background, so that Ctrl-C is noticed, which timeout hands on to all that the step started. A shell of its own: errexit holds in it.
  timeout --kill-after=20 "$(limit_of "$step")" bash -euo pipefail -c "$function ${arguments//-/ }" > >(tee "$out/logs/$step.txt") 2>&1 &
  running=$!
  trap 'kill -TERM $running 2> /dev/null; exit 130' INT TERM
  wait "$running" || code=$?
  case $code in
    0) outcome=ok ;;
    124 | 137) outcome="failed: not done within $(limit_of "$step") s" ;;
    *) outcome="failed: exit code $code, see $out/logs/$step.txt" ;;
  esac
  [ "$code" = 0 ] || failed=$((failed + 1))
  summary+=("$(printf '%-20s %4d s  %s' "$step" $((SECONDS - begin)) "$outcome")")
done
echo "=== summary: $machine, $device, $(date -u +%FT%TZ)"
printf '%s\n' "${summary[@]}" | tee "$out/logs/summary.txt"
[ "$failed" = 0 ]
