#!/usr/bin/env bash
# Everything worth running the moment a GPU is at hand, correctness first. Nothing here has been measured yet: results go to
# bench/results/<device>/ with versions and date.
#   bench/gpu.sh pack               here: publish CLI and tests for linux-x64, self-contained, into artifacts/gpu.tar.xz
#   bench/gpu.sh run [OUT]          there: unpack beside the checkout, verify, test, sanitize, benchmark; writes into OUT
set -euo pipefail
cd "$(dirname "$0")/.."
pack() {
    rm -rf artifacts/gpu
    local publish=(dotnet publish -c Release -r linux-x64 --self-contained -p:DebugType=none -v quiet -p:RequireNvcc=true)
    "${publish[@]}" src/CudaSae.Cli -o artifacts/gpu/cli
    "${publish[@]}" tests/CudaSae.Tests -o artifacts/gpu/tests
    tar -C artifacts -cJf artifacts/gpu.tar.xz gpu
    ls -l artifacts/gpu.tar.xz
}
run() {
    local out=${1:-bench/results/unnamed}; mkdir -p "$out"
    [ -d artifacts/gpu ] || tar -C artifacts -xJf artifacts/gpu.tar.xz
    local cli=artifacts/gpu/cli/cudasae tests=artifacts/gpu/tests/CudaSae.Tests
    { date -u +%F; nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader; uname -r; } | tee "$out/versions.txt"
    "$cli" devices | tee "$out/devices.txt"
    "$cli" verify --backend cuda | tee "$out/verify.txt"
    "$tests" --ignore-exit-code 8 | tee "$out/tests.txt"
    local sanitizer; sanitizer=$(command -v compute-sanitizer || true)
    for tool in memcheck racecheck synccheck initcheck; do
        if [ -n "$sanitizer" ]; then "$sanitizer" --tool "$tool" --error-exitcode 9 "$cli" verify --backend cuda >"$out/$tool.txt" 2>&1 && echo "$tool clean" || echo "$tool FAILED, see $out/$tool.txt"
        else echo "compute-sanitizer is not installed: $tool not run"; fi
    done
    # kernels.md §1.2: the four configurations whose floors the cost model predicts
    for shape in "4096 768 24576 32" "8192 2304 65536 64" "32768 4096 131072 64"; do
        read -r rows width latents active <<<"$shape"
        "$cli" bench --backend cuda --batch-rows "$rows" --input-width "$width" --latents "$latents" --k "$active" | tee -a "$out/bench.txt"
    done
}
verb=${1:-}; shift || true
case $verb in pack) pack ;; run) run "$@" ;; *) echo "bench/gpu.sh pack | run [OUT]" >&2; exit 2 ;; esac
