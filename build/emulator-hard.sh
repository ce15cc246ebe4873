#!/usr/bin/env bash
# Tests the kernels on an emulator that computes floats as a GPU does: a * b + c is contracted, and tensor cores
# truncate. These settings change the bits of almost every sum, and with them which bits are equal: see
# Targets.TensorCoresAgree.
#   emulator-hard.sh [all]      the default takes 90 s on two cores; all runs every case and more classes
set -euo pipefail
cd "$(dirname "$0")/.."
source build/parallel.sh
export DOTNET_CLI_TELEMETRY_OPTOUT=1 TESTINGPLATFORM_TELEMETRY_OPTOUT=1
grep -qw fma /proc/cpuinfo || { echo "emulator-hard.sh needs a processor with fused multiply-add" >&2; exit 1; }
export CUDASAE_EMULATOR=$PWD/artifacts/emulator/hard/libcudasae_emulator.so
tests=artifacts/bin/CudaSae.Tests/release/CudaSae.Tests cudasae=artifacts/bin/CudaSae.Cli/release/cudasae
if [ ! -x "$tests" ] || [ ! -x "$cudasae" ]; then dotnet build -c Release -v quiet; fi
bash build/emulator.sh --hard
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

report() {      # report NAME STATUS: prints one line when the work passed, and otherwise its whole output
    [ "$2" -eq 0 ] || { cat "$work/$1"; echo "$1: FAILED"; return 1; }
    echo "$1: $(grep -E '^ *(total|failed|skipped):|^all equal' "$work/$1" | tr -s ' \n' ' ')"
}
verify() {      # verify CAPABILITY [CASES]: cases whose name contains CASES, against the double-precision reference
    local name="verify, capability $1" status=0
    export CUDASAE_EMULATOR_CAPABILITY=$1
    "$cudasae" verify --backend emulator ${2:+--case "$2"} > "$work/$name" 2>&1 || status=$?
    report "$name" "$status"
}
run_tests() {   # run_tests PATTERN...: tests by class or by class and method
    local name="${*//\*/}" status=0 filters=()
    for pattern in "$@"; do
        case $pattern in *.*) ;; *) pattern="$pattern.*" ;; esac
        filters+=(--filter-method "CudaSae.Tests.$pattern")
    done
    "$tests" --no-progress "${filters[@]}" > "$work/$name" 2>&1 || status=$?
    report "$name" "$status"
}

beside verify 9.0
# TargetsTests checks that the library contracts and truncates.
beside run_tests TargetsTests HopperTests HopperScreenTests EncodeTests
if [ "${1:-}" = all ]; then
    beside verify 8.0
    beside run_tests StepTests ScreenTests UpdateTests HotTests LadderTests
    beside run_tests GraphTests VerifierTests ProductTests
else
    # The tests of these classes that require equal bits between kernels, or agreement with the dense path
    beside run_tests "StepTests.LazyAdam*" "StepTests.Sparse*" "ScreenTests.Training*" "ScreenTests.Code*" \
        "UpdateTests.Plain*" HotTests LadderTests
    beside verify 8.0 odd       # the kernels that differ from those of 9.0 encode
fi
all_done
