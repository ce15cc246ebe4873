#!/usr/bin/env bash
# The long version of the emulator's tests: every case of `cudasae verify` under 32 schedules, as a device of capability
# 8.0 and of 9.0, with the address and undefined-behaviour sanitizers in the kernels, then under the race detector.
#   emulator-deep.sh [SCHEDULES] [sanitizers | races]
set -euo pipefail
cd "$(dirname "$0")/.."
schedules=${1:-32}
dotnet build -c Release -v quiet src/CudaSae.Cli
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cp -r artifacts/bin/CudaSae.Cli/release/. "$work"
verify() {
    for capability in 8.0 9.0; do
        CUDASAE_EMULATOR_CAPABILITY=$capability \
            "$work/cudasae" verify --backend emulator --schedules "$schedules" > "$work/out" 2>&1 \
            && ! grep -q 'runtime error' "$work/out" || { cat "$work/out"; exit 1; }
    done
}

library=$work/libcudasae_emulator.so
if [ "${2:-sanitizers}" = sanitizers ]; then
    rm -f "$library"; bash build/emulator.sh --asan "$library"
    LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)" \
        ASAN_OPTIONS=detect_leaks=0:handle_segv=0:use_sigaltstack=0 verify
    echo "sanitizers: $schedules schedules clean"
fi
if [ "${2:-races}" = races ]; then
    rm -f "$library"; bash build/emulator.sh --races "$library"
    verify
    echo "race detector: $schedules schedules clean"
fi
