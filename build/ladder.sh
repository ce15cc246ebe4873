#!/usr/bin/env bash
# Compiles kernels/ladder/*.cu with nvcc, incrementally, into artifacts/ladder/ARCH/FILE and an index, as cubins.sh does the engine's kernels. Embedded in the program by
# build/Ladder.targets.   ladder.sh
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=$(bash build/find-nvcc.sh)
[ -n "$nvcc" ] || { echo "no nvcc" >&2; exit 3; }
out=artifacts/ladder; mkdir -p "$out"/{sm_80,sm_90a,compute_80}
newest=$(ls -t kernels/*.h kernels/*.cuh kernels/ladder/*.cuh build/ladder.sh | head -1)
compile() {     # compile SOURCE ARCH KIND OPTION
    local to=$out/$3/$(basename "$1" .cu)
    if [ "$to" -nt "$1" ] && [ "$to" -nt "$newest" ]; then return; fi
    "$nvcc" -std=c++17 -O3 -lineinfo -gencode="arch=compute_$2,code=$3" "$4" -o "$to.tmp" "$1" && mv "$to.tmp" "$to"
}
for source in kernels/ladder/*.cu; do
    compile "$source" 80 sm_80 -cubin
    compile "$source" 90a sm_90a -cubin
    compile "$source" 80 compute_80 -ptx
done
for built in "$out"/*/*; do [ -e "kernels/ladder/$(basename "$built").cu" ] || rm -f "$built"; done
grep -oE '^SAE_KERNEL\([a-z0-9_]+' kernels/ladder/*.cu | sed -E 's#.*/(.*)\.cu:SAE_KERNEL\((.*)#\2 \1#' > "$out/index.tmp"
cmp -s "$out/index.tmp" "$out/index" && rm "$out/index.tmp" || mv "$out/index.tmp" "$out/index"
