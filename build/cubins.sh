#!/usr/bin/env bash
# Compiles kernels/*.cu with nvcc, incrementally, into artifacts/kernels/ARCH/FILE: machine code for sm_80 and sm_90a, and compute_80 PTX for
# what is newer; kernels/sm90/*.cu for sm_90a alone; and an index of which file holds which kernel. Embedded by build/Cuda.targets.   cubins.sh
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=$(bash build/find-nvcc.sh)
[ -n "$nvcc" ] || { echo "no nvcc" >&2; exit 3; }
out=artifacts/kernels; mkdir -p "$out"/{sm_80,sm_90a,compute_80}
exec 9> "$out.lock"; flock 9       # two builds at once: the second finds the work done
compile() {     # compile SOURCE ARCH KIND TO
    if [ "$4" -nt "$1" ] && [ "$4" -nt "$newest" ]; then return; fi
    "$nvcc" -std=c++17 -O3 -lineinfo -gencode="arch=compute_$2,code=$3" "-$5" -o "$4.tmp" "$1" && mv "$4.tmp" "$4"
}
newest=$(ls -t kernels/*.h kernels/*.cuh build/cubins.sh | head -1)
for source in kernels/*.cu; do
    name=$(basename "$source" .cu)
    compile "$source" 80 sm_80 "$out/sm_80/$name" cubin
    compile "$source" 90a sm_90a "$out/sm_90a/$name" cubin
    compile "$source" 80 compute_80 "$out/compute_80/$name" ptx
done
newest=$(ls -t "$newest" kernels/sm90/*.cuh | head -1)
for source in kernels/sm90/*.cu; do compile "$source" 90a sm_90a "$out/sm_90a/$(basename "$source" .cu)" cubin; done
for built in "$out"/*/*; do
    name=$(basename "$built").cu
    [ -e "kernels/$name" ] || { [ -e "kernels/sm90/$name" ] && [[ $built == */sm_90a/* ]]; } || rm -f "$built"
done
grep -oE '^SAE_KERNEL\([a-z0-9_]+' kernels/*.cu kernels/sm90/*.cu | sed -E 's#.*/(.*)\.cu:SAE_KERNEL\((.*)#\2 \1#' > "$out/index.tmp"
cmp -s "$out/index.tmp" "$out/index" && rm "$out/index.tmp" || mv "$out/index.tmp" "$out/index"
