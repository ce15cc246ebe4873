#!/usr/bin/env bash
# Trains with the kernels on 2 to 4 ranks, each with an emulated GPU: with torchrun's variables, whose ranks are
# connected by the emulated NCCL alone, and with mpirun. It compares the weights of the launchers byte for byte, kills a
# rank, resumes, and verifies the kernels on ranks. Prints one line for each check, and the counts at the end. Exit code
# 4 means that the emulator is not built.
#   PROGRAM=artifacts/bin/CudaSae.Cli/release/cudasae BENCH=.../cudasae-bench gpus.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${PROGRAM:-artifacts/bin/CudaSae.Cli/release/cudasae}")
bench=$(realpath "${BENCH:-artifacts/bin/CudaSae.Bench/release/cudasae-bench}")
[ -x "$program" ] || { echo "$program is not built" >&2; exit 2; }
grep -q '^emulator  CudaSae' <<< "$("$program" devices)" || {
    echo "the emulator is not built: build/emulator.sh makes it"; exit 4; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_plm=isolated
export DOTNET_PROCESSOR_COUNT=2
work=$(mktemp -d)
pids=()
trap '[ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0 port=$((20000 + RANDOM % 8000))

check() {       # check NAME COMMAND...: runs and counts one check
    local name=$1 start=${EPOCHREALTIME/./}; shift
    if "$@" > "$work/check" 2>&1; then passed=$((passed + 1)); local verdict=passed
    else failed=$((failed + 1)); local verdict=FAILED; fi
    printf '%s: %s, %d ms\n' "$name" $verdict $(((${EPOCHREALTIME/./} - start) / 1000))
    [ $verdict = passed ] || sed 's/^/    /' "$work/check" | tail -20
}
hash() { sha256sum < "$1/sae_weights.safetensors"; }
begin() {       # begin N COMMAND...: ranks with torchrun's variables, in the background; output in $work/rankR
    local n=$1 rank; shift
    port=$((port + 2)) pids=()
    for rank in $(seq 0 $((n - 1))); do
        RANK=$rank WORLD_SIZE=$n LOCAL_RANK=$rank LOCAL_WORLD_SIZE=$n MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
            exec -a "rank $rank" "$@" > "$work/rank$rank" 2>&1 < /dev/null &
        pids+=($!)
    done
}
await() {       # await SECONDS: all ranks end; their exit codes are in $codes
    local deadline=$((SECONDS + $1)) pid code
    codes=
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do
            if [ $SECONDS -ge $deadline ]; then
                echo "ranks still run after $1 s"; kill -KILL "${pids[@]}" 2>/dev/null; break
            fi
            sleep 0.05
        done
        code=0; { wait "$pid"; } 2>/dev/null || code=$?
        codes+=" $code"
    done
    pids=()
}
show() { tail -n 4 "$work"/rank*; false; }
torchrun() {    # torchrun N COMMAND...: all ranks must end with code 0
    rm -f "$work"/rank*
    begin "$@"; await 60
    [[ $codes =~ ^(\ 0)+$ ]] || { echo "exit codes$codes"; show; }
}
mpi() {         # mpi N COMMAND...
    local n=$1; shift
    timeout -k 2 60 $launcher "$n" "$@" > "$work/rank0" 2>&1 < /dev/null || show
}
launcher=
command -v mpirun.openmpi >/dev/null && launcher="mpirun.openmpi -np"
command -v mpiexec.hydra >/dev/null && launcher="mpiexec.hydra -n"

small=("$work/x.npy" --latents 256 --k 4 --aux-k 8 --batch-rows 16 --backend emulator --held-out 32
    --checkpoint-every 5)
"$program" synth "$work/x.npy" --features 50 --width 32 --rows 800 > "$work/check" || exit 1
train() { printf '%s\0' "$program" train "${small[@]}" --resume-if-any --vectors "${2:-320}" --out "$1"; }
line() { mapfile -d '' -t command < <(train "$@"); }      # line OUT [VECTORS]: sets $command

repeated() {    # repeated N: two runs have the same weights, and the record states their order of sums
    line "$work/first$1"; torchrun "$1" "${command[@]}" || return
    line "$work/again$1"; torchrun "$1" "${command[@]}" || return
    [ "$(hash "$work/first$1")" = "$(hash "$work/again$1")" ] || { echo "other weights"; return 1; }
    grep -q '"sum_order": "Ordered"' "$work/first$1/train.json" && grep -A 1 '"sum_ranks"' "$work/first$1/train.json" \
        | grep -q " $1,\$"
}
other() {       # other N: the weights are those of the other launcher
    line "$work/mpi$1"; mpi "$1" "${command[@]}" || return
    [ "$(hash "$work/first$1")" = "$(hash "$work/mpi$1")" ] || { echo "other weights"; return 1; }
}
killed() {      # killed N RANK: kill -9 ends all ranks, and the same command resumes to the same weights
    local run=$work/killed$2 end=$((SECONDS + 30))
    line "$run"; rm -f "$work"/rank*; begin "$1" "${command[@]}"
    while ! compgen -G "$run/checkpoint/step-*" > /dev/null; do
        [ $SECONDS -lt $end ] || { show; return 1; }
        sleep 0.05
    done
    kill -KILL "${pids[$2]}"; await 20
    local code
    for code in $codes; do [ "$code" -ne 0 ] || { echo "exit codes$codes"; show; return 1; }; done
    [[ $codes =~ 75 ]] && grep -q '^cudasae: rank [0-9]: .*resume' "$work"/rank* \
        || { echo "exit codes$codes"; show; return; }
    torchrun "$1" "${command[@]}" || return
    [ "$(hash "$run")" = "$(hash "$work/first$1")" ] || { echo "other weights"; return 1; }
}
frozen() {      # a rank that stops without ending is noticed by the other
    rm -f "$work"/rank*
    begin 2 "$program" train "${small[@]}" --vectors 200000 --collective-timeout 3 --log-every 1 --out "$work/frozen"
    local end=$((SECONDS + 30))
    while ! grep -q '^step [0-9]' "$work/rank0"; do [ $SECONDS -lt $end ] || { show; return; }; sleep 0.1; done
    kill -STOP "${pids[1]}"
    end=$((SECONDS + 15))
    while kill -0 "${pids[0]}" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.1; done
    kill -CONT "${pids[1]}"; await 20
    [[ $codes =~ ^\ 75 ]] && grep -qE '^cudasae: rank 0 has waited [0-9]+ s in .*--resume' "$work/rank0" \
        || { echo "exit codes$codes"; show; }
}
stopped() {     # SIGTERM to one of 2 ranks saves a checkpoint, from which 4 ranks resume
    rm -f "$work"/rank*
    begin 2 "$program" train "${small[@]}" --vectors 200000 --log-every 1 --out "$work/stopped"
    local end=$((SECONDS + 30))
    while ! grep -q '^step [0-9]' "$work/rank0"; do [ $SECONDS -lt $end ] || { show; return; }; sleep 0.1; done
    kill -TERM "${pids[1]}"; await 30
    [ "$codes" = " 143 143" ] && grep -q 'Resume it with' "$work/rank0" || { echo "exit codes$codes"; show; return; }
    local step
    step=$(sed -nE 's/^Stopped at step ([0-9]+) .*/\1/p' "$work/rank0")
    torchrun 4 "$program" train --resume "$work/stopped" --vectors $(((step + 5) * 16)) || return
    grep -q 'sums in the order of 4 ranks, 4 on a machine; before, of 2 ranks' "$work/rank0" || show
}
chunked() {     # chunked N: an exchange beside encoding does not change the weights
    line "$work/chunked$1"; torchrun "$1" "${command[@]}" --row-chunks 3 || return
    [ "$(hash "$work/first$1")" = "$(hash "$work/chunked$1")" ] || { echo "other weights"; return 1; }
}
shared() {      # shared N: ranks that read shares have the weights of ranks with pools of all rows, and no pool
    "$program" synth "$work/y.npy" --features 50 --width 32 --rows 232 || return
    line "$work/pool$1" 208; torchrun "$1" "${command[@]/x.npy/y.npy}" --verbose || return
    grep -q 'pool of all 200 training rows' "$work/rank0" || { echo "no pool"; show; return; }
    line "$work/shared$1" 208; torchrun "$1" "${command[@]/x.npy/y.npy}" --verbose --shared-reading || return
    [ "$(hash "$work/pool$1")" = "$(hash "$work/shared$1")" ] || { echo "other weights"; return 1; }
    ! grep 'pool of all' "$work/rank0"
}
verified() {    # verified N CASE
    torchrun "$1" "$program" verify --backend emulator --case "$2" || return
    grep -q '^all equal within rounding' "$work/rank0" || show
}
onesided() {    # a missing file on rank 1 ends all ranks, and is named
    rm -f "$work"/rank*
    begin 2 bash -c 'x=$1; [ "$RANK" = 0 ] || x=$1.not; shift; exec "$0" train "$x" "$@"' "$program" "${small[@]}" \
        --vectors 320 --out "$work/onesided"
    await 30
    [ "$codes" = " 75 2" ] && grep -q '^cudasae: rank 1: .*x.npy.not' "$work/rank1" \
        || { echo "exit codes$codes"; show; }
}
auto() {        # auto N: the emulator stands in for NVIDIA's driver and for NCCL, and auto takes the GPUs
    local library=${CUDASAE_EMULATOR:-$PWD/artifacts/emulator/libcudasae_emulator.so} run=$work/auto
    mkdir -p "$work/driver"; ln -sf "$library" "$work/driver/libcuda.so.1"
    rm -f "$work"/rank*
    LD_LIBRARY_PATH=$work/driver CUDASAE_NCCL=$library begin "$1" "$program" train "${small[@]/%emulator/auto}" \
        --vectors 320 --out "$run"
    await 30
    [[ $codes =~ ^(\ 0)+$ ]] && grep -q '^backend .*a GPU is available on every rank' "$work/rank0" \
        || { echo "exit codes$codes"; show; return; }
    [ "$(hash "$run")" = "$(hash "$work/first$1")" ] || { echo "other weights"; return 1; }
}
refused() {     # refused WORDS ARGUMENT...: on all ranks, with exit code 2
    local words=$1; shift
    rm -f "$work"/rank*
    begin 2 "$program" train "${small[@]}" --vectors 320 --out "$work/refused" "$@"; await 30
    [ "$codes" = " 2 2" ] && grep -q "^cudasae: rank 0: .*$words" "$work/rank0" \
        || { echo "exit codes$codes"; show; }
}
collectives() { # collectives N
    torchrun "$1" "$bench" ranks --backend emulator || return
    grep -q "^$1 ranks are right: $1 over NCCL" "$work/rank0" || show
}

if [ -x "$bench" ]; then for n in 2 3; do check "collectives of $n ranks over NCCL" collectives $n; done; fi
for n in 2 4; do check "torchrun, $n ranks, twice" repeated $n; done
if [ -n "$launcher" ]; then for n in 2 4; do check "${launcher%% *}, $n ranks" other $n; done
else echo "mpirun: skipped, no MPI is installed"; fi
check "4 ranks, 3 chunks of rows" chunked 4
check "3 ranks, shared reading" shared 3
check "auto on 2 ranks" auto 2
check "kill -9 of rank 0 of 4, resumed" killed 4 0
check "kill -9 of rank 1 of 2, resumed" killed 2 1
check "SIGSTOP of rank 1 of 2" frozen
check "SIGTERM to one of 2 ranks, resumed on 4" stopped
check "a missing file on rank 1" onesided
check "verify on 2 ranks" verified 2 adam
check "verify on 4 ranks" verified 4 "relu, L1, dense"
check "an order of sums that kernels do not have" refused "order of the ranks" --sum-order chain
check "a pool of rows with shared reading" refused "have no pool of rows" --shared-reading --device-pool 1MiB
echo "gpus: $passed passed, $failed failed"
[ $failed -eq 0 ]
