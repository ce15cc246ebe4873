#!/usr/bin/env bash
# Measures every CPU figure and draws every chart again, in under eight minutes on two idle cores: steps and phases,
# scaling, files, PyTorch for comparison, charts, and the tables of README.md and docs/internals/benchmarks.md.
#   bench/cpu.sh [DEVICE]           writes into bench/results/DEVICE. Run `uptime` first: the machine must be idle.
# PyTorch is skipped, and its table is kept, where /usr/bin/python3 does not have it (apt-get install python3-torch
# libopenblas0-pthread), and with ROUNDS=0.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-epyc-zen5-2cores}
out=bench/results/$device; mkdir -p "$out"
load=$(cut -d' ' -f1 /proc/loadavg)      # before the build
echo "load before: $load"
dotnet build -c Release -v quiet --nologo bench/CudaSae.Bench
cli=artifacts/bin/CudaSae.Cli/release/cudasae
measure=artifacts/bin/CudaSae.Bench/release/cudasae-bench
step=("$cli" bench step --backend cpu --aux-k 0 --repeats "${REPEATS:-60}")
shapes=1024x512x4096x32,1024x768x8192x32,1024x512x16384x32,2048x1024x16384x64,4096x768x24576x32
"${step[@]}" --shapes $shapes --csv "$out/step.csv"
"$cli" bench kernels --backend cpu --repeats "${REPEATS:-60}" --shapes 1024x512x4096x32 --csv "$out/kernels.csv"
"$measure" data --csv "$out/data.csv"
"$measure" sweep --backend cpu --csv "$out/scaling.csv"
rounds=${ROUNDS:-5}
if [ "$rounds" -gt 0 ] && /usr/bin/python3 -c 'import torch' 2>/dev/null; then
    /usr/bin/python3 bench/peers/cpu_torch.py --rounds "$rounds" --csv "$out/cpu_torch.csv" | tee "$out/cpu_torch.txt"
else echo "no PyTorch in /usr/bin/python3, or ROUNDS=0: cpu_torch.csv is not changed"; fi
"$measure" plot "$out/step.csv" "$out/scaling.csv" --out "$out"
"$measure" tables
# Figures of an idle machine are final, so the note that calls them provisional is removed.
if awk -v load="$load" -v cores="$(nproc)" 'BEGIN { exit !(load < cores / 2) }'; then
    sed -i '/^Provisional: /,+1d' README.md docs/internals/benchmarks.md
fi
sed -i "s/^date .*/date      $(date -u +%F)/" "$out/versions.txt" 2>/dev/null || true
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
