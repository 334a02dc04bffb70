#!/usr/bin/env bash
# Every formatter and linter; --fix lets them repair what they can. clang-format comes from PATH, or pip's clang-format package (`pip install clang-format`).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = "--fix" ]; then
  eslint=(--fix) prettier=(--write --log-level warn) clang=(-i)
else
  eslint=() prettier=(--check) clang=(--dry-run --Werror)
fi
npx eslint . "${eslint[@]}"
npx prettier "${prettier[@]}" .
npx tsc --noEmit
npx tsx scripts/generate-options.ts --check
sources=$(git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'test/native/*.h' 'test/native/*.cpp' 'test/fuzz/*.h' 'test/fuzz/*.cpp' 'bench/*.h' 'bench/*.cpp')
if command -v clang-format > /dev/null; then
  # shellcheck disable=SC2086
  clang-format "${clang[@]}" $sources
else
  echo 'skipped: clang-format is not installed (pip install clang-format)'
fi
