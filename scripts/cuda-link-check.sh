#!/usr/bin/env bash
# Compiles the whole CUDA side with nvcc and links it against a CUDA LibTorch with no symbol left undefined: needs no GPU.
#   scripts/cuda-link-check.sh            fetches torch's CUDA wheel (531 MB) into the cache once; LIBTORCH_CUDA names another build
set -euo pipefail
cd "$(dirname "$0")/.."
version=2.11.0 # its default wheel on Linux is the CUDA 13.0 build
cache="${CORNERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cornernet}/link-check"
libtorch="${LIBTORCH_CUDA:-$cache/torch-$version/torch}"
if [ ! -d "$libtorch" ]; then
  aside="$cache/partial-$$"
  trap 'rm -rf "$aside"' EXIT
  mkdir -p "$aside"
  echo "fetching torch $version with CUDA"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$aside" "torch==$version"
  python3 -m zipfile -e "$aside"/torch-*.whl "$aside/unpacked"
  mv "$aside/unpacked" "$cache/torch-$version"
fi
cmake -S . -B build/link-check ${CMAKE_GENERATOR:+-G "$CMAKE_GENERATOR"} -DLIBTORCH="$libtorch" -DCORNERNET_CUDA=1 -DCORNERNET_LINK_CHECK=ON \
  -DCORNERNET_CUDA_ARCHITECTURES="${CORNERNET_CUDA_ARCHITECTURES:-80}" > build/link-check.log
cmake --build build/link-check --target cornernet_link_check --parallel "$(nproc)"
echo "the CUDA side compiles and links against $(basename "$(dirname "$libtorch")")"
