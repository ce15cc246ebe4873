#!/usr/bin/env bash
# Kills a random rank of a small run at a random moment, N times. Each run has a random number of ranks from 1 to 4 and
# a random installed MPI, and is started again by the same command with --resume-if-any, on another number of ranks,
# until it ends. Its weights must equal those of one process. Prints one line for each run, and the counts at the end.
# Exit code 4 means that no MPI is installed.
#   PROGRAM=artifacts/bin/CudaSae.Cli/release/cudasae kills.sh N [SEED]
set -uo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${PROGRAM:-artifacts/bin/CudaSae.Cli/release/cudasae}")
[ -x "$program" ] || { echo "$program is not built" >&2; exit 2; }
kills=${1:?number of kills}
RANDOM=${2:-$$}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_plm=isolated
export DOTNET_PROCESSOR_COUNT=2         # the number of threads does not change the bits
longest=${LONGEST:-120}                 # seconds of one start
work=$(mktemp -d) job=
trap '[ -z "$job" ] || kill $job 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT

launchers=()
command -v mpirun.openmpi >/dev/null && launchers+=("mpirun.openmpi -np")
command -v mpiexec.hydra >/dev/null && launchers+=("mpiexec.hydra -n")
[ ${#launchers[@]} -gt 0 ] || { echo "no MPI is installed: install openmpi-bin or mpich"; exit 4; }

hash() { sha256sum < "$1/sae_weights.safetensors"; }
"$program" synth "$work/x.npy" --features 200 --width 64 --rows 6000 > "$work/log" || { cat "$work/log"; exit 1; }
# line RUN EVERY: the command line of a run
line() {
    set -- "$program" train "$work/x.npy" --out "$1" --latents 2048 --vectors 40960 --batch-rows 256 --backend cpu \
        --held-out 256 --checkpoint-every "$2" --keep-checkpoints 3 --resume-if-any
    printf '%s\0' "$@"
}
begin() {       # begin RANKS RUN EVERY: in the background; its output is $work/log
    mapfile -d '' -t command < <(line "$2" "$3")
    local launcher=
    [ "$1" -eq 1 ] || launcher="${launchers[RANDOM % ${#launchers[@]}]} $1"
    timeout -k 2 "$longest" $launcher "${command[@]}" > "$work/log" 2>&1 < /dev/null &
    job=$!
}
pids() { pgrep -f "^$program train .*--out $1 "; }      # processes of a run's ranks, not of its launcher
await() {       # await RUN: the launcher and all ranks end; the exit code is in $status
    status=0; { wait $job; } 2>/dev/null || status=$?; job=
    local deadline=$((SECONDS + 20))
    while pids "$1" > /dev/null; do
        [ $SECONDS -lt $deadline ] || { echo "ranks of $1 still run"; pids "$1" | xargs -r kill -KILL; return 1; }
        sleep 0.05
    done
}
wait_ms() {     # wait_ms MS: returns earlier if the job ends
    local end=$((${EPOCHREALTIME/./} / 1000 + $1))
    while [ $((${EPOCHREALTIME/./} / 1000)) -lt $end ] && kill -0 $job 2>/dev/null; do sleep 0.01; done
}

start=${EPOCHREALTIME/./}
begin 1 "$work/alone" 10; await "$work/alone" && [ $status -eq 0 ] || { cat "$work/log"; exit 1; }
whole=$(((${EPOCHREALTIME/./} - start) / 1000)) expected=$(hash "$work/alone")
echo "one process: $whole ms"

done_kills=0 early=0 passed=0 failed=0 number=0
while [ $done_kills -lt "$kills" ]; do
    number=$((number + 1)) run=$work/run$number every=$((RANDOM % 9 + 2)) ranks=$((RANDOM % 4 + 1))
    story= problem= begun=$SECONDS own=0 most=$((RANDOM % 3 + 1))
    while :; do
        begin $ranks "$run" $every
        if [ $done_kills -lt "$kills" ] && [ $own -lt $most ]; then
            # half of the moments anywhere from the start, the others after a new checkpoint
            if [ $((RANDOM % 2)) -eq 0 ]; then wait_ms $((RANDOM % (whole * 3 / 2)))
            else
                before=$(ls "$run/checkpoint" 2>/dev/null)
                while [ "$(ls "$run/checkpoint" 2>/dev/null)" = "$before" ] && kill -0 $job 2>/dev/null; do
                    sleep 0.02
                done
                wait_ms $((RANDOM % 200))
            fi
            victim=$(pids "$run" | shuf -n 1 --random-source=<(yes $RANDOM))
            if [ -n "$victim" ] && kill -KILL "$victim" 2>/dev/null; then
                done_kills=$((done_kills + 1)) own=$((own + 1))
                compgen -G "$run/checkpoint/step-*" > /dev/null || early=$((early + 1))
            fi
        fi
        await "$run" || { problem="ranks stay"; break; }
        story+=" $ranks:$status"
        [ $status -ne 0 ] || break
        # Only a kill may end a run before its last step
        if ! grep -qE 'Killed|signal 9|KILLED BY SIGNAL: 9|EXIT CODE: 9|exit code: 9' "$work/log" \
            && [ $status -ne 137 ] && [ $status -ne 9 ]; then problem="exit code $status"; break; fi
        ranks=$(((ranks - 1 + RANDOM % 3 + 1) % 4 + 1))         # another number
    done
    if [ -z "$problem" ] && [ "$(hash "$run")" != "$expected" ]; then problem="other weights"; fi
    if [ -z "$problem" ]; then passed=$((passed + 1)); problem=passed; else failed=$((failed + 1)); cat "$work/log"; fi
    echo "run $number, checkpoints every $every steps, ranks:code$story, $((SECONDS - begun)) s: $problem"
    rm -rf "$run"
done
echo "kills: $done_kills kills in $number runs, $early before a checkpoint; $passed passed, $failed failed," \
    "in $SECONDS s"
[ $failed -eq 0 ]
