#!/usr/bin/env bash
# Rehearses the two calls of bench/README.md on the emulator: in an empty folder that holds the tracked files and the
# archive, without the SDK on PATH, at tiny shapes. The emulator is the machine's CUDA driver there, a device of
# capability 9.0 without cuBLAS. In the first call a kernel of 8-bit screening fails and ends its context; in the
# second call a rung of the ladder never ends. The script checks the results.
#   gpu-rehearsal.sh      needs artifacts/gpu.tar.xz (gpu.sh pack) and the emulator (dotnet build)
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "gpu-rehearsal.sh: $*" >&2; exit 1; }
objects=(artifacts/emulator/obj/plain-kernels/*.o artifacts/emulator/obj/plain-emulator/*.o)
[ -f artifacts/gpu.tar.xz ] || fail "artifacts/gpu.tar.xz is missing: run bench/gpu.sh pack"
[ -f "${objects[0]}" ] || fail "the emulator is not built: run build/emulator.sh"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{tree/artifacts,driver,bin,out}

# ---- the machine

git ls-files -z -- bench | xargs -0 tar -c | tar -x -C "$work/tree"
cp artifacts/gpu.tar.xz "$work/tree/artifacts/"
echo '{ local: cublas*; };' > "$work/exports"
g++ -shared -o "$work/driver/libcuda.so.1" -Wl,--version-script="$work/exports" "${objects[@]}"
IFS=: read -ra folders <<< "$PATH"
for folder in "${folders[@]}"; do
    find "$folder" -maxdepth 1 ! -type d ! -name dotnet -exec ln -sf -t "$work/bin" {} + 2>/dev/null || true
done
# The environment of the programs, and their shapes
machine=(HOME="$work" PATH="$work/bin" LD_LIBRARY_PATH="$work/driver" OUT="$work/out" CUDASAE_EMULATOR_CAPABILITY=9.0)
tiny=(SHAPES="8x64x256x4 8x128x256x4" LARGEST=8x64x512x4 LADDER=37,96,200 CASES="odd shapes" CLASSES=SelectTests)

# call VERB FAULT: runs the line of bench/README.md unchanged
call() {
    local line; line=$(sed -n "s/^    \(bash bench\/gpu.sh $1 .*\)/\1/p" bench/README.md | head -1)
    [ -n "$line" ] || fail "bench/README.md has no line for $1"
    printf '\n$ %s\n' "$line"
    (cd "$work/tree" && env -i "${machine[@]}" "${tiny[@]}" CUDASAE_EMULATOR_FAULT="$2" bash -c "$line") \
        || echo "(exit code $?)"
    tar -C "$work/out" -xzf "$work/out/$1.tgz"
}

# ---- what must come back

passed=0 failed=0
check() {       # check WHAT COMMAND...
    local what=$1; shift
    if "$@" > /dev/null 2>&1; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    echo "gpu-rehearsal.sh: not as it must be: $what" >&2
}
says() { grep -qE "$2" "$work/out/$1"; }
lacks() { ! says "$@"; }
ends_well() { for attempt in "${@:2}"; do check "$1: $attempt" says "$1/summary.txt" "^$attempt: done"; done; }
rows() { [ "$(wc -l < "$work/out/$1")" -gt "$2" ]; }

check "the SDK is not on PATH" test ! -e "$work/bin/dotnet"
call first quantize=719
ends_well first devices ladder-small adam relu step-8x64x256x4 step-8x128x256x4 verify tests
check "first: the failing case" says first/summary.txt "^8-bit: FAILED with 1"
for technique in programmatic graphs skew clusters-skew hopper; do
    check "first: narrowed by $technique" says first/summary.txt "^8-bit-without-$technique: FAILED"
done
check "first: the case that passes is not narrowed" lacks first/summary.txt "^adam-without"
check "first: the error is named" says first/8-bit.txt "ERROR, CUDA error 719"
check "first: a new process" says first/8-bit.txt "run in a new process"
check "first: the other variants run" says first/8-bit.txt "^[0-9] cases failed"
check "first: rows without cuBLAS" rows first/step-8x64x256x4.csv 5
check "first: cuBLAS is named" says first/step-8x64x256x4.txt "no ceilings: cuBLAS"
check "first: every rung" rows first/ladder-small.csv 13
check "first: versions" says first/versions.txt "^cudasae +[0-9]"
check "first: tests that pass" says first/tests.txt "succeeded: [1-9]"
call second ladder_pipeline=hang
check "second: the rung that hangs" says second/summary.txt "^ladder: STOPPED"
check "second: its name" says second/ladder.txt "^09_pipeline"
ends_well second step-8x64x512x4 kernels-8x64x256x4 kernels-8x128x256x4
check "second: the end of the list" says second/summary.txt "^memcheck: "
check "both: few files come back" test "$(find "$work/out" -maxdepth 1 -type f | wc -l)" -le 8
echo "rehearsal: $passed checks passed, $failed failed"
[ "$failed" -eq 0 ]
