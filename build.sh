#!/usr/bin/env bash
# Verbs over plain commands; each is printed before it runs.   build.sh
# build|test|quick|train|verify|bench|micro|pack|tool|release|native|border|kernels|emulator|deep|hard|faults|nvcc
# build.ps1 has the same verbs and commands.
set -euo pipefail
cd "$(dirname "$0")"
say() { printf '+ %s\n' "$*"; "$@"; }
verb=${1:-build}; shift || true
case $verb in
  build)    say dotnet build -c Release "$@" ;;
  test)     say dotnet test "$@" ;;
  quick)    say dotnet test --filter-not-trait speed=slow "$@" ;;
  train)    say dotnet run -c Release --project src/CudaSae.Cli -- train "$@" ;;
  verify)   say dotnet run -c Release --project src/CudaSae.Cli -- verify "$@" ;;
  bench)    say dotnet run -c Release --project bench/CudaSae.Bench -- "$@" ;;
  micro)    say dotnet run -c Release --project bench/CudaSae.Micro -- "$@" ;;
  pack)     say bash build/consumer.sh "$@" ;;
  tool)     say bash build/tool.sh "$@" ;;
  release)  say bash build/release.sh "$@" ;;
  native)   say bash build/native.sh "$@" ;;
  border)   say bash build/border.sh "$@" ;;
  kernels)  say bash build/kernel-gate.sh "$@" ;;
  emulator) say bash build/emulator.sh "$@" ;;
  deep)     say bash build/emulator-deep.sh "$@" ;;
  hard)     say bash build/emulator-hard.sh "$@" ;;
  faults)   say bash build/faults.sh "$@" ;;
  nvcc)     say bash build/install-nvcc.sh "$@" ;;
  *) echo "build.sh: unknown verb '$verb'; use one of build, test, quick, train, verify, bench, micro, pack, tool," \
       "release, native, border, kernels, emulator, deep, hard, faults, nvcc" >&2; exit 2 ;;
esac
