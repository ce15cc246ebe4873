#!/usr/bin/env bash
# Everything worth running the moment a GPU is at hand, correctness first, for a machine that has a driver, Python with PyTorch and Triton, and no .NET SDK. No GPU has run it yet.
#   bench/gpu.sh pack                       here: CLI and tests for linux-x64 with their runtime, into artifacts/gpu.tar.xz
#   bench/gpu.sh run OUT [STAGE[=SECONDS]]... [--dry]   there: results as CSV and text into OUT, which bench/results/<device> is meant for; without STAGE all of them
# Stages, each within its seconds (without: BUDGET, 560): correctness sanitize kernels step peers[-N] sweep[-AXIS] plots. peers-2 races the second shape alone, sweep-n varies n alone.
# What is missing, fails or finds no time is said in a line, kept in OUT/summary.txt, and the rest goes on; exit 1 then. --dry runs all of it here, on the emulator and the CPU, at tiny shapes.
set -uo pipefail
cd "$(dirname "$0")/.."
archive=artifacts/gpu.tar.xz limit_mib=64

pack() {
    rm -rf artifacts/gpu
    # Both programs into one folder, so that they share one runtime. Not trimmed: xunit and CsvHelper find types by reflection.
    local publish=(dotnet publish -c Release -r linux-x64 --self-contained -p:DebugType=none -p:GenerateDocumentationFile=false -v quiet -p:RequireNvcc=true -o artifacts/gpu)
    "${publish[@]}" src/CudaSae.Cli && "${publish[@]}" tests/CudaSae.Tests || exit 1
    rm -f artifacts/gpu/*.pdb artifacts/gpu/CudaSae*.xml
    tar -C artifacts -c gpu | xz -T0 -3 > "$archive" || exit 1
    local mib=$((($(stat -c %s "$archive") + 1048575) / 1048576))
    echo "$archive: $mib MiB of $limit_mib"
    [ "$mib" -le "$limit_mib" ] || { echo "bench/gpu.sh: $archive is larger than $limit_mib MiB" >&2; exit 1; }
}

# By Python where there is no xz.
unpack() { tar -C artifacts -xJf "$archive" 2>/dev/null || "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall("artifacts")' "$archive"; }

# ---- stages

note() { echo "$*" | tee -a "$out/summary.txt"; }
left() { echo $((deadline - SECONDS)); }

# [limit=SECONDS] attempt NAME COMMAND...   into OUT/NAME.txt; never longer than the limit and what the stage has left. A kernel that does not end outlasts a polite signal.
attempt() {
    local name=$1 seconds; seconds=$(left); shift
    [ "${limit:-$seconds}" -ge "$seconds" ] || seconds=$limit
    if [ "$(left)" -lt 5 ]; then note "$name: left out, the stage's time is spent"; failures=$((failures + 1)); return 1; fi
    local begin=$SECONDS
    timeout -k 5 "$seconds" "$@" > "$out/$name.txt" 2>&1
    local code=$?
    case $code in
        0) note "$name: done in $((SECONDS - begin)) s" ;;
        124 | 137) note "$name: stopped after $((SECONDS - begin)) s, when its time was spent, see $out/$name.txt: $(tail -n 1 "$out/$name.txt" | cut -c1-160)"; failures=$((failures + 1)) ;;
        *) note "$name: FAILED with $code, see $out/$name.txt: $(tail -n 1 "$out/$name.txt" | cut -c1-160)"; failures=$((failures + 1)) ;;
    esac
    return $code
}

correctness() {
    limit=60 attempt devices "$cli" devices
    limit=150 attempt ladder-small "$cli" bench ladder --backend "$backend" --shape 300,100,1000 --csv "$out/ladder-small.csv"
    limit=240 attempt verify "$cli" verify --backend "$verify_backend" || narrow
    local classes=(); for name in $test_classes; do classes+=(--filter-class "*.$name"); done
    attempt tests "$tests" "${classes[@]}" --output Detailed --ignore-exit-code 8
}

# Which technique of the Hopper kernels it is that fails, where nothing can be built.
narrow() {
    local technique
    for technique in programmatic graphs skew clusters,skew hopper; do
        limit=75 attempt "verify-without-${technique/,/-}" env CUDASAE_WITHOUT="$technique" "$cli" verify --backend "$verify_backend" && break
    done
}

sanitize() {
    local sanitizer; sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
    if [ -z "$sanitizer" ]; then note "sanitize: compute-sanitizer is not installed; memcheck, racecheck, synccheck and initcheck were not run"; return; fi
    for tool in memcheck racecheck synccheck initcheck; do
        attempt "$tool-ladder" "$sanitizer" --tool "$tool" --error-exitcode 9 "$cli" bench ladder --backend "$backend" --shape 37,96,200
    done
    for tool in memcheck synccheck racecheck initcheck; do
        attempt "$tool-verify" "$sanitizer" --tool "$tool" --error-exitcode 9 "$cli" verify --backend "$verify_backend"
    done
}

# Weights of many gigabytes would take minutes to come back for their checks.
trusted() { case $1 in *x1048576x*) echo --unchecked ;; esac; }

kernels() {
    attempt ladder "$cli" bench ladder --backend "$backend" --shape "$ladder_shape" --csv "$out/ladder.csv"
    for shape in $shapes; do attempt "kernels-$shape" "$cli" bench kernels --backend "$backend" --shapes "$shape" $(trusted "$shape") --csv "$out/kernels-$shape.csv"; done
}

step() {
    for shape in $shapes; do attempt "step-$shape" "$cli" bench step --backend "$step_backend" --aux-k 0 --shapes "$shape" $(trusted "$shape") --csv "$out/step-$shape.csv"; done
    attempt data "$cli" bench data --input-width "$data_width" --rows "$data_rows" --batch-rows "$data_batch" --csv "$out/data.csv"
}

peers() {       # peers [N]: the N-th shape alone
    if ! "$python" -c 'import torch' 2>/dev/null; then note "peers: $python has no PyTorch; nothing was raced"; failures=$((failures + 1)); return; fi
    local racing=($shapes); [ -n "${1:-}" ] && racing=("${racing[$(($1 - 1))]}")
    # Once a machine and build: a copy outside OUT tells that this machine made the table.
    local agreed=() table=$out/peers-agreement.csv stamp=${TMPDIR:-/tmp}/cudasae-peers-agreement-$(id -u).csv
    [ "$stamp" -nt "$cli" ] && cmp -s "$stamp" "$table" && agreed=(--agreed)
    attempt "peers${1:+-$1}" "$python" bench/peers/gpu_peers.py --program "$cli" --out "$out" --budget "$(($(left) - 20))" --shapes "${racing[@]//x/,}" "${agreed[@]}" "${peer_options[@]}"
    cp "$table" "$stamp" 2>/dev/null
    grep -h 'sparse\|cudasae' "$out/peers${1:+-$1}.txt" | grep ',' || true
}

sweep() {       # sweep [AXIS]: one of n, B, d, k alone
    for axis in ${1:-$axes}; do attempt "sweep-$axis" "$cli" bench sweep --backend "$backend" --axes "$axis" --csv "$out/scaling-$axis.csv"; done
}

# join NAME: the shapes' or axes' tables as one, under one header
join() {
    local parts=("$out/$1"-*.csv)
    [ -e "${parts[0]}" ] || { note "plots: no $1-*.csv in $out"; return 1; }
    { head -n 1 "${parts[0]}"; tail -q -n +2 "${parts[@]}"; } > "$out/$1.csv"
}

plots() {
    local tables=()
    for name in step scaling; do join "$name" && tables+=("$out/$name.csv"); done
    join kernels
    [ ${#tables[@]} -gt 0 ] && attempt plots "$cli" bench plot "${tables[@]}" --out "$out"
}

# cuBLAS, the ceiling's product, comes with PyTorch where there is no toolkit.
find_cublas() {
    local folder
    folder=$("$python" -c 'import glob, os, sysconfig
found = [p for root in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")} for p in glob.glob(os.path.join(root, "nvidia", "*", "lib", "libcublas.so.1[23]"))]
print(os.path.dirname(sorted(found)[-1]) if found else "")' 2>/dev/null)
    if [ -n "$folder" ]; then export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
}

versions() {
    {
        echo "date      $(date -u +%F)"
        echo "device    $(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null || echo none)"
        echo "system    $(uname -sr), $(nproc) processors"
        echo "cudasae   $("$cli" --version)"
        echo "python    $("$python" -c 'import sys, torch; print(sys.version.split()[0] + ", torch " + torch.__version__)' 2>/dev/null || echo 'no PyTorch')"
        echo "command   bench/gpu.sh run $*"
    } > "$out/versions.txt"
}

run() {
    local stages=() dry=; out=
    for argument in "$@"; do
        case $argument in --dry) dry=1 ;; *) if [ -z "$out" ]; then out=$argument; else stages+=("$argument"); fi ;; esac
    done
    [ -n "$out" ] || { echo "bench/gpu.sh run OUT [STAGE[=SECONDS]]... [--dry]" >&2; exit 2; }
    [ ${#stages[@]} -gt 0 ] || stages=(correctness sanitize kernels step peers-1 peers-2 peers-3 peers-4 sweep-n sweep-B sweep-d sweep-k plots)
    mkdir -p "$out"
    cli=$PWD/artifacts/gpu/cudasae tests=$PWD/artifacts/gpu/CudaSae.Tests python=${PYTHON:-python3} failures=0
    [ -d artifacts/gpu ] || unpack || { echo "bench/gpu.sh: $archive is not there or cannot be unpacked: run bench/gpu.sh pack where the SDK is, and bring it" >&2; exit 1; }
    backend=cuda step_backend=cuda verify_backend=cuda axes="n B d k" ladder_shape=4096,768,24576 peer_options=()
    shapes="4096x768x24576x32 8192x2304x65536x64 32768x4096x131072x64 8192x4096x1048576x64"      # the cost model's four; the one that only fits in sparse form last
    test_classes="TargetsTests LadderTests EncodeTests HopperTests ScreenTests UpdateTests VerifierTests StepTests SelectTests BugClassTests DivergenceTests"
    data_width=2304 data_rows=262144 data_batch=8192
    if [ -n "$dry" ]; then
        backend=emulator step_backend=cpu verify_backend=cpu axes=n shapes=8x64x256x4 ladder_shape=37,96,200 peer_options=(--dry --rounds 2 --seconds 0.2)
        test_classes="TargetsTests LadderTests" data_width=64 data_rows=4096 data_batch=128
        export CUDASAE_EMULATOR=${CUDASAE_EMULATOR:-$PWD/artifacts/emulator/libcudasae_emulator.so}
        [ "${#stages[@]}" -lt 5 ] || stages=(correctness sanitize kernels step peers-1 sweep plots)
    fi
    find_cublas
    versions "$@"
    for stage in "${stages[@]}"; do
        SECONDS=0 deadline=${BUDGET:-560}
        case $stage in *=*) deadline=${stage#*=} stage=${stage%%=*} ;; esac
        note "== $stage, $(date -u +%FT%TZ), $deadline s"
        case $stage in
            correctness | sanitize | kernels | step | sweep | plots) $stage ;;
            peers) peers ;;
            peers-[1-4]) peers "${stage#peers-}" ;;
            sweep-[nBdk]) sweep "${stage#sweep-}" ;;
            *) echo "bench/gpu.sh: no stage $stage; correctness, sanitize, kernels, step, peers, peers-1 to peers-4, sweep, sweep-n to sweep-k, plots" >&2; exit 2 ;;
        esac
    done
    note "$failures of the attempts failed or found no time; results are in $out"
    [ "$failures" -eq 0 ]
}

verb=${1:-}; shift || true
case $verb in pack) pack ;; run) run "$@" ;; *) echo "bench/gpu.sh pack | run OUT [STAGE] [--dry]" >&2; exit 2 ;; esac
