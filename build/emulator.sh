#!/usr/bin/env bash
# Builds the emulated CUDA driver with all kernels in it, incrementally: one object for each source. A newer header
# recompiles all of them.
#   emulator.sh [--asan | --races | --hard] [--kernels FOLDER] [OUT]
# The default is kernels/*.cu, kernels/sm90/*.cu and kernels/ladder/*.cu into artifacts/emulator/libcudasae_emulator.so.
#   --asan    address and undefined-behaviour sanitizers
#   --races   the race detector, in the kernels
#   --hard    float arithmetic as on a GPU: a * b + c is contracted, as nvcc does, and tensor cores truncate.
#             The default is artifacts/emulator/hard/libcudasae_emulator.so.
set -euo pipefail
cd "$(dirname "$0")/.."
source build/parallel.sh
flags=(-std=c++20 -O2 -g -fPIC -fvisibility=hidden -fno-gnu-unique -Wall -Wno-unknown-pragmas -ffp-contract=off
    -fno-strict-aliasing -DSAE_EMULATOR -Ikernels)
kernels=kernels variant=plain define=() instrument=() out=artifacts/emulator/libcudasae_emulator.so
while [ $# -gt 0 ]; do
    case $1 in
        --asan) variant=asan; flags+=(-fsanitize=address,undefined -fno-omit-frame-pointer); shift ;;
        --races) variant=races; define=(-DEMU_RACES); instrument=(-fsanitize=thread -O1 -g1); shift ;;
        --hard)     # the last -ffp-contract counts
            variant=hard; flags+=(-ffp-contract=fast -mfma -DEMU_HARD)
            out=artifacts/emulator/hard/libcudasae_emulator.so; shift ;;
        --kernels) kernels=$2; shift 2 ;;
        *) break ;;
    esac
done
out=${1:-$out}
command -v g++ >/dev/null || { echo "the emulator needs g++: apt-get install g++" >&2; exit 1; }
objects=artifacts/emulator/obj/$variant-$(echo "$kernels" | tr / _)
# The objects of the emulator itself, which serve every folder of kernels and the race detector
own=artifacts/emulator/obj/${variant/races/plain}-emulator
mkdir -p "$objects" "$own" "$(dirname "$out")"
exec 9> "$own.lock"; flock 9           # of two simultaneous builds, the second has nothing to compile
newest=$(ls -t kernels/*.h kernels/params/*.h kernels/*.cuh kernels/sm90/*.cuh kernels/ladder/*.cuh \
    kernels/emulator/*.h build/emulator.sh | head -1)
made=0 all=()
compile() {     # compile SOURCE OBJECT: instruments the kernels, not the emulator itself
    local extra=()
    [[ $2 == "$own"/* ]] || extra=("${define[@]}")
    [[ $1 != *.cu ]] || extra+=("${instrument[@]}")
    g++ "${flags[@]}" "${extra[@]}" -x c++ -c "$1" -o "$2.tmp" && mv "$2.tmp" "$2"
}
for source in kernels/emulator/*.cpp "$kernels"/*.cu "$kernels"/sm90/*.cu "$kernels"/ladder/*.cu; do
    [ -e "$source" ] || continue
    case $source in */sm90/*.cu) twin=sm90_ ;; *) twin= ;; esac
    folder=$objects
    [[ $source == *.cu ]] || { [ $variant = races ] && grep -q EMU_RACES "$source"; } || folder=$own
    object=$folder/$twin$(basename "$source").o; all+=("$object")
    if [ "$object" -nt "$source" ] && [ "$object" -nt "$newest" ]; then continue; fi
    beside compile "$source" "$object"
    made=$((made + 1))
done
all_done
# Objects may be newer than this library although nothing was compiled, if another library was linked from them.
if [ ! -e "$out" ] || [ "$(ls -t "${all[@]}" | head -1)" -nt "$out" ]; then
    g++ "${flags[@]}" -shared -pthread -o "$out.tmp" "${all[@]}" -lrt || exit 1
    mv "$out.tmp" "$out"
fi
echo "$out: $made of ${#all[@]} sources compiled"
