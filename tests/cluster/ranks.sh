#!/usr/bin/env bash
# Trains on one process and on 1 to 4 ranks of each installed MPI, and compares the weights byte for byte. Then it kills
# ranks, stops them, and gives them errors. Prints one line for each check, and the counts at the end. Exit code 4 means
# that no MPI is installed.
#   PROGRAM=artifacts/bin/CudaSae.Cli/release/cudasae BENCH=.../cudasae-bench ranks.sh [openmpi|mpich]
set -uo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${PROGRAM:-artifacts/bin/CudaSae.Cli/release/cudasae}")
bench=$(realpath "${BENCH:-artifacts/bin/CudaSae.Bench/release/cudasae-bench}")
[ -x "$program" ] || { echo "$program is not built" >&2; exit 2; }
# As root, with more ranks than cores, on one machine
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_plm=isolated
export DOTNET_PROCESSOR_COUNT=2         # the number of threads does not change the bits
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
passed=0 failed=0

declare -A launcher
command -v mpirun.openmpi >/dev/null && launcher[openmpi]="mpirun.openmpi -np"
command -v mpiexec.hydra >/dev/null && launcher[mpich]="mpiexec.hydra -n"
names=${1:-openmpi mpich}

check() {       # check NAME COMMAND...: runs and counts one check
    local name=$1 start=${EPOCHREALTIME/./}; shift
    if "$@" > "$work/check" 2>&1; then passed=$((passed + 1)); local verdict=passed
    else failed=$((failed + 1)); local verdict=FAILED; fi
    printf '%s: %s, %d ms\n' "$name" $verdict $(((${EPOCHREALTIME/./} - start) / 1000))
    [ $verdict = passed ] || sed 's/^/    /' "$work/check" | tail -12
}
ranks() {       # ranks MPI N COMMAND...: output in $work/out and $work/err
    local start="${launcher[$1]} $2"; shift 2
    timeout -k 2 100 $start "$@" > "$work/out" 2> "$work/err" < /dev/null
}
show() { cat "$work/out" "$work/err"; false; }
hash() { sha256sum < "$1/sae_weights.safetensors"; }
code() {        # code EXPECTED COMMAND...
    local expected=$1 actual=0; shift
    "$@" || actual=$?
    [ $actual -eq "$expected" ] || { echo "exit code $actual, not $expected"; show; }
}
lines() {       # lines COUNT TEXT FILE
    [ "$(grep -c -- "$2" "$3")" -eq "$1" ] || { echo "not $1 lines with '$2'"; show; }
}

small=(--latents 2048 --vectors 2560 --batch-rows 256 --backend cpu --held-out 256)
long=(--latents 2048 --vectors 2000000 --batch-rows 256 --backend cpu --checkpoint-every 20 --log-every 1)
presets=(topk batch-topk jumprelu gated matryoshka)
"$program" synth "$work/x.npy" --features 200 --width 64 --rows 6000 > "$work/out" || exit 1
for preset in "${presets[@]}"; do
    "$program" train "$work/x.npy" "${small[@]}" --preset "$preset" --out "$work/alone-$preset" > "$work/out" || exit 1
done

same() {        # same MPI N PRESET [OPTION]: the weights of one process
    local run=$work/$1-$2-$3${4-}
    ranks "$1" "$2" "$program" train "$work/x.npy" "${small[@]}" --preset "$3" ${4-} --out "$run" \
        || { show; return; }
    [ "$(hash "$run")" = "$(hash "$work/alone-$3")" ] || { echo "other weights"; show; return; }
    lines 1 '^Saved in' "$work/out" && lines 1 '^SAE ' "$work/out" && [ ! -e "$run/run.lock" ]
}
started() {     # started OUTPUT: waits until the run has trained a few steps
    for _ in $(seq 300); do
        ! grep -q '^step [0-9]' "$1" || return 0
        kill -0 $job 2>/dev/null || break
        sleep 0.1
    done
    cat "$1"; false
}
begin() {       # begin MPI N COMMAND...: in the background; its output is $work/log
    local start="${launcher[$1]} $2"; shift 2
    timeout -k 2 100 $start "$@" > "$work/log" 2>&1 < /dev/null &
    job=$!
    started "$work/log"
}
pids() { pgrep -f "^$program train .*$1"; }      # processes of a run's ranks, not of its launcher
ended() {       # ended RUN SECONDS: all ranks and their launcher end in time; the launcher's exit code is in $status
    local deadline=$((SECONDS + $2))
    while kill -0 $job 2>/dev/null || pids "$1" > /dev/null; do
        [ $SECONDS -lt $deadline ] || { echo "still running after $2 s"; pkill -KILL -f "$1"; return 1; }
        sleep 0.1
    done
    status=0; wait $job || status=$?
}
killed() {      # killed MPI: kill -9 of one rank ends all with an error
    local run=$work/$1-killed
    begin "$1" 3 "$program" train "$work/x.npy" "${long[@]}" --out "$run" || return
    kill -KILL "$(pids "$run" | tail -1)"
    ended "$run" 15 && [ $status -ne 0 ] || { echo "exit code $status"; cat "$work/log"; return 1; }
}
frozen() {      # frozen MPI: a rank that stops without ending is noticed by the others
    local run=$work/$1-frozen
    begin "$1" 3 "$program" train "$work/x.npy" "${long[@]}" --collective-timeout 3 --out "$run" || return
    kill -STOP "$(pids "$run" | tail -1)"
    ended "$run" 20 && [ $status -ne 0 ] && grep -q "rank .* has waited .*--resume $run" "$work/log" \
        || { echo "exit code $status"; cat "$work/log"; return 1; }
}
stopped() {     # stopped MPI N M SIGNAL CODE: it saves a checkpoint of N ranks, from which M ranks resume
    local run=$work/$1-stopped-$2-$4
    begin "$1" "$2" "$program" train "$work/x.npy" "${long[@]}" --out "$run" || return
    kill -"$4" "$(pids "$run" | tail -1)"
    ended "$run" 30 || return
    if [ $status -ne "$5" ] || ! grep -q 'Resume it with' "$work/log"; then
        echo "exit code $status"; cat "$work/log"; return 1
    fi
    local step rows
    step=$(sed -nE 's/^Stopped at step ([0-9]+) .*/\1/p' "$work/log")
    rows=$(((step + 10) * 256))
    ranks "$1" "$3" "$program" train --resume "$run" --vectors $rows || { show; return; }
    [ -e "$run/sae_weights.safetensors" ] && lines 1 '^Saved in' "$work/out"
}
resumed() {     # resumed MPI: a run that stops at a step on 3 ranks and resumes on 2 has the weights of one process
    local run=$work/$1-resumed alone=$work/alone-resumed
    if [ ! -e "$alone" ]; then
        "$program" train "$work/x.npy" "${small[@]}" --out "$alone" || return
        "$program" train --resume "$alone" --vectors 5120 || return
    fi
    ranks "$1" 3 "$program" train "$work/x.npy" "${small[@]}" --out "$run" || { show; return; }
    ranks "$1" 2 "$program" train --resume "$run" --vectors 5120 || { show; return; }
    [ "$(hash "$run")" = "$(hash "$alone")" ] || { echo "other weights"; show; }
}
alike() {       # alike MPI: an error of all ranks is printed once
    code 2 ranks "$1" 3 "$program" train "$work/nowhere.npy" && lines 1 'cudasae: rank' "$work/err" \
        && code 2 ranks "$1" 3 "$program" train --latentz 4 && lines 1 'cudasae: rank' "$work/err" \
        && code 2 ranks "$1" 3 "$program" eval "$work/alone-topk" && lines 1 'runs in one process' "$work/err"
}
onesided() {    # onesided MPI RANK DATA: an error of one rank ends all, and names the rank
    local run=$work/$1-onesided-$2
    code 2 ranks "$1" 3 bash -c "if [ \${OMPI_COMM_WORLD_RANK:-\$PMI_RANK} = $2 ]; then x='$3'; else x='$work/x.npy'; fi
        exec '$program' train \$x ${small[*]} --out '$run'" && lines 1 "cudasae: rank $2: " "$work/err"
}
others() {      # others MPI: an error of all ranks but rank 0 is printed once
    code 2 ranks "$1" 3 bash -c "x='$work/x.npy'
        [ \${OMPI_COMM_WORLD_RANK:-\$PMI_RANK} = 0 ] || x=nowhere.npy
        exec '$program' train \$x ${small[*]} --out '$work/$1-others'" \
        && lines 1 'cudasae: rank 1: ' "$work/err" && lines 1 'cudasae: rank' "$work/err"
}
full() {        # full MPI: a log that rank 0 cannot write
    local run=$work/$1-full
    mkdir "$run" && ln -s /dev/full "$run/metrics.jsonl"
    code 2 ranks "$1" 2 "$program" train "$work/x.npy" "${small[@]}" --out "$run" \
        && lines 1 'cudasae: rank 0: ' "$work/err"
}
off() {         # off MPI: every process trains alone
    ranks "$1" 2 bash -c "exec '$program' train '$work/x.npy' ${small[*]} --ranks off \
        --out '$work/$1-off'\${OMPI_COMM_WORLD_RANK:-\$PMI_RANK}" || { show; return; }
    [ "$(hash "$work/$1-off0")" = "$(hash "$work/alone-topk")" ] \
        && [ "$(hash "$work/$1-off1")" = "$(hash "$work/alone-topk")" ] && lines 2 '^Saved in' "$work/out"
}
stranger() {    # stranger MPI LIBRARY: the library of another MPI finds one rank
    CUDASAE_MPI=$2 code 2 ranks "$1" 2 "$program" train "$work/x.npy" && lines 1 "$2.* finds 1: " "$work/err"
}
collectives() { # collectives MPI N: every collective, and a null reference in .NET
    ranks "$1" "$2" "$bench" ranks && lines 1 "$2 ranks are right" "$work/out"
}
over_ucx() {    # Open MPI uses UCX on InfiniBand only, if it is not told otherwise.
    OMPI_MCA_pml=ucx OMPI_MCA_opal_common_ucx_tls=any OMPI_MCA_opal_common_ucx_devices=any collectives openmpi 2
}

for mpi in $names; do
    [ -n "${launcher[$mpi]:-}" ] || { echo "$mpi: skipped, it is not installed"; continue; }
    if [ -x "$bench" ]; then for n in 1 2 4; do check "$mpi, collectives of $n ranks" collectives $mpi $n; done; fi
    for n in 1 2 3 4; do check "$mpi, topk on $n ranks" same $mpi $n topk; done
    # ShardedStepTests compares every method on several numbers of ranks. This checks that MPI carries the messages.
    for preset in "${presets[@]:1}"; do check "$mpi, $preset on 3 ranks" same $mpi 3 "$preset"; done
    check "$mpi, shared reading on 3 ranks" same $mpi 3 topk --shared-reading
    check "$mpi, resumed on 2 ranks instead of 3" resumed $mpi
    check "$mpi, kill -9" killed $mpi
    check "$mpi, SIGTERM to one of 3 ranks, resumed on 2" stopped $mpi 3 2 TERM 143
    check "$mpi, SIGTERM to one of 2 ranks, resumed on 1" stopped $mpi 2 1 TERM 143
    check "$mpi, SIGUSR1 to one of 3 ranks, resumed on 2" stopped $mpi 3 2 USR1 138
    check "$mpi, SIGSTOP of one of 3 ranks" frozen $mpi
    check "$mpi, errors of all ranks" alike $mpi
    check "$mpi, errors of ranks 1 and 2" others $mpi
    check "$mpi, a missing file on rank 1" onesided $mpi 1 "$work/nowhere.npy"
    check "$mpi, a bad option on rank 2" onesided $mpi 2 "$work/x.npy --latentz 4"
    check "$mpi, a full disk on rank 0" full $mpi
    check "$mpi, --ranks off" off $mpi
done
if [ -n "${launcher[openmpi]:-}" ] && [ -n "${launcher[mpich]:-}" ] && [ $# -eq 0 ]; then
    check "Open MPI's launcher with MPICH" stranger openmpi libmpich.so.12
    check "MPICH's launcher with Open MPI" stranger mpich libmpi.so.40
    [ ! -x "$bench" ] || check "Open MPI over UCX" over_ucx
fi
[ $((passed + failed)) -gt 0 ] || { echo "no MPI is installed: install openmpi-bin or mpich"; exit 4; }
echo "ranks: $passed passed, $failed failed, in $SECONDS s"
[ $failed -eq 0 ]
