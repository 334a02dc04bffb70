#!/usr/bin/env bash
# Compiles every CUDA source for every architecture we ship, with no GPU: nvcc for 7.5 and newer (warnings are errors), NVRTC 12.4 for 7.0, which
# nvcc 13 no longer knows.
#   scripts/cuda-check.sh nvcc | sm_70
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(find csrc -name '*.cu' | sort)
case "${1:-}" in
  nvcc)
    object=$(mktemp)
    trap 'rm -f "$object"' EXIT
    for source in "${sources[@]}"; do
      echo "$source"
      nvcc -std=c++17 --expt-relaxed-constexpr -Werror all-warnings -Xcompiler -Wall,-Wextra -Icsrc -t 0 \
        -gencode arch=compute_75,code=sm_75 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_86,code=sm_86 \
        -gencode arch=compute_89,code=sm_89 -gencode arch=compute_90,code='[sm_90,compute_90]' -c "$source" -o "$object"
    done
    ;;
  sm_70) python3 scripts/sass_check.py sm_70 -Icsrc "${sources[@]}" ;;
  *) sed -n '2,4s/^# //p' "$0" && exit 1 ;;
esac
