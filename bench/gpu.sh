#!/usr/bin/env bash
# Measures on a machine whose GPU is available for minutes. The script needs a driver, Python with PyTorch and
# Triton, and no .NET SDK. No GPU has run this script yet.
#   gpu.sh pack                  with the SDK: packs the programs with their runtime into artifacts/gpu.tar.xz
#   gpu.sh first OUT             on the GPU: correctness, and steps at the headline shapes (510 s)
#   gpu.sh second OUT            then: the largest shape, phases, the ladder, memcheck (220 s)
#   gpu.sh second OUT CASE...    instead: cases that failed, under every switch and memcheck
#   gpu.sh peers OUT             PyTorch, a Triton-sparse trainer and CudaSae in turn (200 s)
#   gpu.sh scaling OUT           steps over n, B, d and k, files, and the pictures of them (560 s)
#   gpu.sh rehearse              with the SDK: the two calls of bench/README.md on the emulator, with faults
# A call ends within its seconds; BUDGET changes them. It writes OUT/VERB.tgz with all results so far again after every
# attempt, and prints a line for each attempt. An attempt that fails or exceeds its time does not stop the others; the
# exit code is then 1. SHAPES, LARGEST, LADDER, CASES and CLASSES replace the shapes, the
# largest shape, the ladder's shape, the cases of verify and the test classes.
set -uo pipefail
cd "$(dirname "$0")/.."
archive=artifacts/gpu.tar.xz travels_mib=64     # the tracked files and the archive together

shapes=${SHAPES:-4096x768x24576x32 8192x2304x65536x64} largest=${LARGEST:-8192x4096x1048576x64}
ladder=${LADDER:-4096,768,24576}
classes=${CLASSES:-HopperTests HopperScreenTests EncodeTests ScreenTests UpdateTests StepTests SelectTests}
cli=artifacts/gpu/cudasae measure=artifacts/gpu/cudasae-bench tests=artifacts/gpu/CudaSae.Tests
python=${PYTHON:-python3}

fail() { echo "gpu.sh: $*" >&2; exit 1; }

pack() {
    rm -rf artifacts/gpu
    # cudasae, cudasae-bench and the tests go into one folder and share one runtime. They are not trimmed: xunit and
    # CsvHelper find types by reflection.
    local publish=(dotnet publish -c Release -r linux-x64 --self-contained -v quiet -o artifacts/gpu
        -p:DebugType=none -p:RunAnalyzersDuringBuild=false -p:RequireNvcc=true)
    local project
    for project in src/CudaSae.Cli bench/CudaSae.Bench tests/CudaSae.Tests; do
        "${publish[@]}" "$project" || exit 1
    done
    rm -f artifacts/gpu/*.pdb artifacts/gpu/CudaSae*.xml
    tar -C artifacts -c gpu | xz -T0 -3 > "$archive" || exit 1
    local mib=$(($(stat -c %s "$archive") / 1048576 + 1)) tracked
    tracked=$(($(git ls-files -z | xargs -0 stat -c %s | awk '{ sum += $1 } END { print sum }') / 1048576 + 1))
    echo "$archive: $mib MiB; the tracked files: $tracked MiB; together at most $travels_mib"
    [ $((mib + tracked)) -le $travels_mib ] || fail "$archive and the tracked files exceed $travels_mib MiB"
}

# Unpacks each archive once: the folder holds the checksum of its archive.
unpack() {
    local sum; sum=$(sha256sum < "$archive") && [ "$sum" = "$(cat artifacts/gpu/archive.sum 2>/dev/null)" ] && return
    rm -rf artifacts/gpu
    local by_python='import sys, tarfile; tarfile.open(sys.argv[1]).extractall("artifacts")'     # without xz
    tar -C artifacts -xJf "$archive" 2>/dev/null || "$python" -c "$by_python" "$archive" \
        || fail "$archive is missing or damaged: run gpu.sh pack on a machine with the SDK, and copy the file here"
    echo "$sum" > artifacts/gpu/archive.sum
}

# ---- attempts

note() { echo "$*" | tee -a "$results/summary.txt"; }

# Writes all results so far into one file. The previous file is kept until the new one is complete.
keep() { tar -C "$results/.." -czf "$results.tgz" "$verb" && mv "$results.tgz" "$out/$verb.tgz"; }

# attempt NAME SECONDS COMMAND...: into NAME.txt, within the seconds and what is left of the budget. A kernel that never
# ends ignores a polite signal.
attempt() {
    local name=$1 seconds=$2 begin=$SECONDS code verdict; shift 2
    [ $((deadline - SECONDS)) -ge "$seconds" ] || seconds=$((deadline - SECONDS))
    if [ "$seconds" -lt 5 ]; then
        failures=$((failures + 1))
        note "$name: NOT RUN, the time is spent"; keep
        return 1
    fi
    timeout -k 5 "$seconds" "$@" > "$results/$name.txt" 2>&1
    code=$?
    case $code in
        0) verdict=done ;;
        124 | 137) verdict="STOPPED" failures=$((failures + 1)) ;;
        *) verdict="FAILED with $code" failures=$((failures + 1)) ;;
    esac
    note "$name: $verdict after $((SECONDS - begin)) s: $(tail -n 1 "$results/$name.txt" | cut -c1-150)"
    keep
    return $code
}

# verify NAME SECONDS CASE [WITHOUT]: the cases with that in their names, all for "", without a technique of the kernels
verify() {
    local without=${4:-}
    attempt "$1${without:+-without-${without/,/-}}" "$2" \
        env CUDASAE_WITHOUT="$without" "$cli" verify --backend cuda ${3:+--case "$3"}
}

techniques="programmatic graphs skew clusters,skew hopper"

# A failing case is run again without one technique after another, until it passes: that technique fails on this
# machine.
narrowed() {
    verify "$@" && return
    for technique in $techniques; do verify "$@" "$technique" && return; done
}

# memcheck NAME SECONDS CASE
memcheck() {
    local sanitizer; sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
    if [ -z "$sanitizer" ]; then note "$1: not run, compute-sanitizer is not installed"; keep; return; fi
    CUDASAE_WITHOUT=graphs,programmatic attempt "$1" "$2" \
        "$sanitizer" --tool memcheck --error-exitcode 9 "$cli" verify --backend cuda ${3:+--case "$3"}
}

# bench KIND SECONDS SHAPE [OPTION]...
bench() {
    local kind=$1 seconds=$2 shape=$3; shift 3
    attempt "$kind-$shape" "$seconds" \
        "$cli" bench "$kind" --backend cuda --aux-k 0 --shapes "$shape" --csv "$results/$kind-$shape.csv" "$@"
}

# rungs NAME SECONDS SHAPE
rungs() { attempt "$1" "$2" "$measure" ladder --backend cuda --shape "$3" --csv "$results/$1.csv"; }

# ---- calls

first() {
    attempt devices 15 "$cli" devices
    rungs ladder-small 45 300,100,1000
    narrowed adam 30 adam
    narrowed relu 30 "relu, L1 by decoder norm"
    narrowed 8-bit 25 8-bit
    for shape in $shapes; do bench step 50 "$shape"; done
    verify verify 110 "${CASES:-}"
    local filters=(); for class in $classes; do filters+=(--filter-class "*.$class"); done
    attempt tests 110 "$tests" "${filters[@]}" --output Detailed --ignore-exit-code 8
}

second() {
    for failing in "$@"; do
        for technique in "" $techniques; do verify "${failing// /-}" 25 "$failing" "$technique"; done
        memcheck "memcheck-${failing// /-}" 60 "$failing"
    done
    [ $# -eq 0 ] || return
    bench step 90 "$largest" --unchecked
    for shape in $shapes; do bench kernels 35 "$shape"; done
    rungs ladder 30 "$ladder"
    memcheck memcheck 60 adam
}

peers() {
    local seconds=$((deadline - SECONDS))
    attempt race "$seconds" "$python" bench/peers/gpu_peers.py --program "$cli" --out "$results" \
        --budget $((seconds - 5)) --shapes ${shapes//x/,}
}

scaling() {
    for axis in n B d k; do
        attempt "scaling-$axis" 120 \
            "$measure" sweep --backend cuda --axes "$axis" --csv "$results/scaling-$axis.csv"
    done
    attempt data 60 \
        "$measure" data --input-width 2304 --rows 262144 --batch-rows 8192 --csv "$results/data.csv"
    # One table under one header.
    local tables=("$results"/scaling-*.csv)
    [ -e "${tables[0]}" ] || return
    { head -n 1 "${tables[0]}"; tail -q -n +2 "${tables[@]}"; } > "$results/scaling.csv"
    attempt plots 30 "$measure" plot "$results/scaling.csv" --out "$results"
}

# cuBLAS gives the ceiling of a product. Without a toolkit it comes with PyTorch.
find_cublas() {
    local folder
    folder=$("$python" -c 'import glob, os, sysconfig
roots = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
found = [p for root in roots for p in glob.glob(os.path.join(root, "nvidia", "*", "lib", "libcublas.so.1[23]"))]
print(os.path.dirname(sorted(found)[-1]) if found else "")' 2>/dev/null)
    if [ -n "$folder" ]; then export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
}

# PyTorch's version from its package: its import takes ten seconds or more.
versions() {
    {
        echo "date      $(date -u +%F)"
        echo "device    $(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null \
            || echo none)"
        echo "system    $(uname -sr), $(nproc) processors"
        echo "cudasae   $("$cli" --version)"
        echo "python    $("$python" -c 'import sys; print(sys.version.split()[0])')"
        echo "torch     $("$python" -c 'import importlib.metadata as m; print(m.version("torch"))' 2>/dev/null \
            || echo none)"
        echo "command   bench/gpu.sh $verb $*"
    } > "$results/versions.txt"
}

# call VERB SECONDS OUT [ARGUMENT]...
call() {
    verb=$1 deadline=${BUDGET:-$2} out=${3:-} failures=0; shift 2
    [ -n "$out" ] || { echo "gpu.sh: a folder for the results is missing: gpu.sh $verb OUT" >&2; exit 2; }
    shift
    mkdir -p artifacts "$out"
    unpack
    results=artifacts/gpu-results/$verb
    rm -rf "$results" && mkdir -p "$results"
    find_cublas
    versions "$@"
    note "== $verb, $(date -u +%FT%TZ), $deadline s"
    "$verb" "$@"
    note "== $failures attempts failed, were stopped or not run; $SECONDS s in all"
    keep
    [ "$failures" -eq 0 ]
}

verb=${1:-}; shift || true
case $verb in
    pack) pack ;;
    first) call first 510 "$@" ;;
    second) call second 220 "$@" ;;
    peers) call peers 200 "$@" ;;
    scaling) call scaling 560 "$@" ;;
    rehearse) exec bash bench/gpu-rehearsal.sh ;;
    *) echo "gpu.sh pack | first OUT | second OUT [CASE]... | peers OUT | scaling OUT | rehearse" >&2; exit 2 ;;
esac
