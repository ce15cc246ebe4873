#!/usr/bin/env bash
# Compares K SAEs in one sweep with the same K SAEs trained one after another, in turn, ROUNDS times. Prints wall clock,
# CPU time and peak memory as CSV.
#   sweep.sh DATA.npy [K] [ROUNDS] [VECTORS] [N]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?an activation file} members=${2:-4} rounds=${3:-3} vectors=${4:-49152} n=${5:-2048}
cli=${CUDASAE:-artifacts/bin/CudaSae.Cli/release/cudasae}
[ -n "${CUDASAE:-}" ] || dotnet build -c Release -v quiet src/CudaSae.Cli
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
settings=(--latents "$n" --vectors "$vectors" --backend cpu --log-every 50)
ks=(8 16 32 64 12 24 48 6); ks=("${ks[@]:0:$members}")
measure() {     # measure COMMAND…: prints wall clock, CPU time and peak memory of this process
    local out; out=$(/usr/bin/env python3 - "$@" <<'PYTHON'
import os, subprocess, sys, time
start = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
if status: sys.exit(f"{' '.join(sys.argv[1:])} ended with {status}")
print(f"{time.monotonic() - start:.3f} {usage.ru_utime + usage.ru_stime:.3f} {usage.ru_maxrss // 1024}")
PYTHON
    ); echo "$out"
}
echo "round,way,members,n,vectors,wall_s,cpu_s,peak_mib"
for round in $(seq "$rounds"); do
    rm -rf "$work"/*
    list=$(IFS=,; echo "${ks[*]}")
    read -r wall cpu peak \
        <<<"$(measure "$cli" sweep "$data" --presets topk --k "$list" --out "$work/sweep" "${settings[@]}")"
    echo "$round,sweep,$members,$n,$vectors,$wall,$cpu,$peak"
    for k in "${ks[@]}"; do measure "$cli" train "$data" --k "$k" --out "$work/alone$k" "${settings[@]}"; done |
        awk -v head="$round,alone,$members,$n,$vectors" '{w += $1; c += $2; if ($3 > m) m = $3}
            END {printf "%s,%.3f,%.3f,%d\n", head, w, c, m}'
    for k in "${ks[@]}"; do
        cmp "$work/alone$k/sae_weights.safetensors" "$work/sweep/topk-n$n-k$k/sae_weights.safetensors"
    done
done
