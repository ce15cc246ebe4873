#!/usr/bin/env bash
# Every CPU figure and picture anew, in under eight minutes on two quiet cores: steps and phases, scaling, files, PyTorch beside it, pictures, the tables of README.md and docs/internals/benchmarks.md.
#   bench/cpu.sh [DEVICE]           into bench/results/DEVICE; look at `uptime` first: figures of a busy machine say nothing
# PyTorch is left out, and its table stays, where /usr/bin/python3 has none (apt-get install python3-torch libopenblas0-pthread), and with ROUNDS=0.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-epyc-zen5-2cores}
out=bench/results/$device; mkdir -p "$out"
load=$(cut -d' ' -f1 /proc/loadavg)      # before the build's own
echo "load before: $load"
dotnet build -c Release -v quiet --nologo bench/CudaSae.Bench
cli=artifacts/bin/CudaSae.Cli/release/cudasae
measure=artifacts/bin/CudaSae.Bench/release/cudasae-bench
step=("$cli" bench step --backend cpu --aux-k 0 --repeats "${REPEATS:-60}")
"${step[@]}" --shapes 1024x512x4096x32,1024x768x8192x32,1024x512x16384x32,2048x1024x16384x64,4096x768x24576x32 --csv "$out/step.csv"
"$cli" bench kernels --backend cpu --repeats "${REPEATS:-60}" --shapes 1024x512x4096x32 --csv "$out/kernels.csv"
"$measure" data --csv "$out/data.csv"
"$measure" sweep --backend cpu --csv "$out/scaling.csv"
rounds=${ROUNDS:-5}
if [ "$rounds" -gt 0 ] && /usr/bin/python3 -c 'import torch' 2>/dev/null; then /usr/bin/python3 bench/peers/cpu_torch.py --rounds "$rounds" --csv "$out/cpu_torch.csv" | tee "$out/cpu_torch.txt"
else echo "no PyTorch in /usr/bin/python3, or ROUNDS=0: cpu_torch.csv stays as it is"; fi
"$measure" plot "$out/step.csv" "$out/scaling.csv" --out "$out"
"$measure" tables
# Figures of a quiet machine are final: the remark that they are not goes.
if awk -v load="$load" -v cores="$(nproc)" 'BEGIN { exit !(load < cores / 2) }'; then sed -i '/^Provisional: /,+1d' README.md docs/internals/benchmarks.md; fi
sed -i "s/^date .*/date      $(date -u +%F)/" "$out/versions.txt" 2>/dev/null || true
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
