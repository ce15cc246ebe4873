#!/usr/bin/env bash
# Generates the C# side of the border between the kernels and the engine: the structs and codes of kernels/params, and
# the shared memory that the kernels declare as NAME_shared_bytes (docs/internals/decisions/0012-generated-border.md).
#   border.sh            writes src/CudaSae/Devices/Params/*.g.cs and src/CudaSae/Model/*.g.cs
#   border.sh --check    fails where these files differ from what would be written
#   border.sh --facts    prints sizes, offsets, codes and shared memory as g++ computes them
set -euo pipefail
cd "$(dirname "$0")/.."
command -v g++ >/dev/null || { echo "border.sh needs g++: apt-get install g++" >&2; exit 3; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
headers=(kernels/params/*.h)
includes=(kernels/*.cuh kernels/sm90/*.cuh kernels/ladder/*.cuh)
sources=(kernels/*.cu kernels/sm90/*.cu kernels/ladder/*.cu)
awk_on() { LC_ALL=C awk "$@" -f build/border.awk "${headers[@]}" "${includes[@]}" "${sources[@]}"; }

# A program that includes all kernels, each in a separate namespace, and prints the facts. The kernels are declared
# as templates that are never instantiated, so that the program needs no emulator.
{
    echo '#include <cstddef>'
    echo '#include <cstdio>'
    echo '#include "common.cuh"'
    echo '#undef SAE_KERNEL'
    echo '#define SAE_KERNEL(name, Params, ...) template <class Border> void name(const Params& p)'
    for file in "${includes[@]}"; do echo "#include \"${file#kernels/}\""; done
    for file in "${sources[@]}"; do
        name=$(basename "$file" .cu)
        echo "namespace file_$name {"; echo "#include \"${file#kernels/}\""; echo '}'
    done
    echo 'namespace border {}'
    echo 'static void fact(const char* kind, const char* name, long long value) {'
    echo '    std::printf("%s %s %lld\n", kind, name, value);'
    echo '}'
    echo 'int main() {'
    awk_on -v mode=probe
    echo '}'
} > "$work/probe.cpp"
g++ -std=c++20 -w -DSAE_EMULATOR -Ikernels -o "$work/probe" "$work/probe.cpp"
"$work/probe" > "$work/facts"
if [ "${1:-}" = --facts ]; then cat "$work/facts"; exit; fi

mkdir -p "$work/out/Devices/Params" "$work/out/Model"
awk_on -v mode=csharp -v facts="$work/facts" -v out="$work/out"
engine=src/CudaSae
made=$(cd "$work/out" && ls */*.g.cs */*/*.g.cs)
there=$(cd "$engine" && ls Devices/Params/*.g.cs Model/*.g.cs 2>/dev/null || true)
case ${1:-} in
    --check)
        differs=0
        for file in $(printf '%s\n' $made $there | sort -u); do
            cmp -s "$work/out/$file" "$engine/$file" && continue
            echo "$engine/$file differs from the kernels" >&2
            diff -u "$engine/$file" "$work/out/$file" >&2 || true
            differs=1
        done
        [ "$differs" = 0 ] || { echo "run build/border.sh and commit the files" >&2; exit 1; }
        ;;
    '')
        for file in $there; do rm "$engine/$file"; done
        cp -r "$work/out/." "$engine/"
        ;;
    *) echo "border.sh: unknown option '$1'; --check or --facts" >&2; exit 2 ;;
esac
