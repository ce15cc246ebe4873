#!/usr/bin/env bash
# Compiles kernels with nvcc, incrementally, into OUT/ARCH/FILE: machine code for sm_80 and sm_90a, and compute_80 PTX
# for newer devices. It also writes an index of the file that holds each kernel.
#   cubins.sh           kernels/*.cu, and kernels/sm90/*.cu for sm_90a alone, into artifacts/kernels;
#                       build/Cuda.targets embeds them in the engine
#   cubins.sh ladder    kernels/ladder/*.cu into artifacts/ladder, which are embedded in cudasae-bench
set -euo pipefail
cd "$(dirname "$0")/.."
source build/parallel.sh
nvcc=$(bash build/find-nvcc.sh)
[ -n "$nvcc" ] || { echo "no nvcc" >&2; exit 3; }
if [ "${1:-}" = ladder ]; then out=artifacts/ladder portable=(kernels/ladder/*.cu) hopper=()
else out=artifacts/kernels portable=(kernels/*.cu) hopper=(kernels/sm90/*.cu); fi
mkdir -p "$out"/{sm_80,sm_90a,compute_80}
exec 9> "$out.lock"; flock 9       # of two simultaneous builds, the second has nothing to compile
newest=$(ls -t kernels/*.h kernels/params/*.h kernels/*.cuh kernels/*/*.cuh build/cubins.sh | head -1)
wanted=()
compile() {     # compile SOURCE ARCH CODE KIND OUT
    "$nvcc" -std=c++17 -O3 -lineinfo -gencode="arch=compute_$2,code=$3" "-$4" -o "$5.tmp" "$1" && mv "$5.tmp" "$5"
}
want() {        # want SOURCE ARCH CODE KIND
    local to=$out/$3/$(basename "$1" .cu)
    wanted+=("$to")
    if [ ! "$to" -nt "$1" ] || [ ! "$to" -nt "$newest" ]; then beside compile "$@" "$to"; fi
}
for source in "${portable[@]}"; do
    want "$source" 80 sm_80 cubin
    want "$source" 90a sm_90a cubin
    want "$source" 80 compute_80 ptx
done
for source in "${hopper[@]}"; do want "$source" 90a sm_90a cubin; done
all_done
for built in "$out"/*/*; do [[ " ${wanted[*]} " == *" $built "* ]] || rm -f "$built"; done
grep -oE '^SAE_KERNEL\([a-z0-9_]+' "${portable[@]}" "${hopper[@]}" |
    sed -E 's#.*/(.*)\.cu:SAE_KERNEL\((.*)#\2 \1#' > "$out/index.tmp"
cmp -s "$out/index.tmp" "$out/index" && rm "$out/index.tmp" || mv "$out/index.tmp" "$out/index"
