#!/usr/bin/env bash
# Cuts the wire between two hosts while a run trains on both: each rank must end with exit code 75 within
# --collective-timeout. The hosts are two network namespaces that a veth pair connects; a process namespace ends
# everything that is left. Prints one line for each MPI. Exit code 4 means that it was skipped, for the reason in its
# last line.
#   PROGRAM=artifacts/bin/CudaSae.Cli/release/cudasae wire.sh [openmpi|mpich]
set -uo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${PROGRAM:-artifacts/bin/CudaSae.Cli/release/cudasae}")
[ -x "$program" ] || { echo "$program is not built" >&2; exit 2; }
timeout=10                              # --collective-timeout in seconds
slack=5                                 # further seconds, for the watchdog's clock and a busy machine
skip() { echo "wire: skipped, $1"; exit 4; }

if [ -z "${INSIDE:-}" ]; then
    for tool in unshare ip; do
        command -v $tool > /dev/null || skip "$tool is not installed"
    done
    command -v mpirun.openmpi > /dev/null || command -v mpiexec.hydra > /dev/null || skip "no MPI is installed"
    own=(--net --mount --uts --pid --fork --kill-child --mount-proc)
    [ "$(id -u)" -eq 0 ] || own=(--user --map-root-user "${own[@]}")
    why=$(unshare "${own[@]}" sh -c 'mount -t tmpfs tmpfs /run && ip netns add a && ip netns exec a ip link add va \
        type veth peer name vb' 2>&1) || skip "namespaces cannot be created here: $(tail -1 <<< "$why")"
    work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
    INSIDE=1 WORK=$work unshare "${own[@]}" bash "$(realpath "$0")" "$@"
    exit
fi

work=$WORK
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 DOTNET_PROCESSOR_COUNT=1 TERM=dumb
mount -t tmpfs tmpfs /run
printf '127.0.0.1 localhost\n10.77.0.1 hosta\n10.77.0.2 hostb\n' > "$work/hosts"
mount --bind "$work/hosts" /etc/hosts
ip netns add hosta; ip netns add hostb
until_() {      # until_ SECONDS COMMAND...
    local end=$((SECONDS + $1)); shift
    until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
is_up() { ip -n "$1" link show eth0 | grep -q "state UP"; }
wire() {        # a new wire
    ip link add eth0 netns hosta type veth peer name eth0 netns hostb
    ip -n hosta addr add 10.77.0.1/24 dev eth0; ip -n hostb addr add 10.77.0.2/24 dev eth0
    local host
    for host in hosta hostb; do ip -n $host link set lo up; done
    ip -n hosta link set eth0 up; ip -n hostb link set eth0 up
    for host in hosta hostb; do until_ 10 is_up $host || return; done     # UCX takes no other devices
}
# Takes the place of ssh: runs a command on a host
cat > "$work/agent" <<'AGENT'
#!/bin/bash
while [[ $1 == -* ]]; do case $1 in -l|-o|-p) shift 2 ;; *) shift ;; esac; done
host=$1; shift
exec ip netns exec "$host" unshare --uts bash -c "hostname $host; $*"
AGENT
# Runs a rank and keeps its exit code and its error stream, because the wire of the launcher is cut too
cat > "$work/rank" <<'RANK'
#!/bin/bash
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
"$@" 2> "$WORK/err.$rank"
echo $? > "$WORK/code.tmp.$rank" && mv "$WORK/code.tmp.$rank" "$WORK/code.$rank"
RANK
chmod +x "$work/agent" "$work/rank"
declare -A launch=(
    [openmpi]="mpirun.openmpi -np 2 --host hosta:1,hostb:1 --mca plm_rsh_agent $work/agent --mca btl tcp,self
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -x WORK -x DOTNET_PROCESSOR_COUNT"
    [mpich]="mpiexec.hydra -n 2 -ppn 1 -hosts hosta,hostb -launcher ssh -launcher-exec $work/agent -iface eth0
        -genv UCX_TLS tcp,self -genv UCX_NET_DEVICES eth0"
)
"$program" synth "$work/x.npy" --features 200 --width 64 --rows 6000 > "$work/log" || { cat "$work/log"; exit 1; }

trains() { grep -q '^step [0-9]' "$work/log" || ! kill -0 $job 2>/dev/null; }
both() { [ -e "$work/code.0" ] && [ -e "$work/code.1" ]; }
gone() { ! pgrep -f "^$program train" > /dev/null; }
cut() {         # cut MPI
    local run=$work/$1
    rm -f "$work"/code.* "$work"/err.*
    wire || return
    "$work/agent" hosta ${launch[$1]} "$work/rank" "$program" train "$work/x.npy" --latents 2048 --vectors 200000000 \
        --batch-rows 256 --backend cpu --log-every 1 --collective-timeout $timeout --out "$run" \
        > "$work/log" 2>&1 < /dev/null &
    job=$!
    until_ 60 trains && kill -0 $job || { echo "no step"; cat "$work/log" "$work"/err.*; return 1; }
    sleep 1
    ip -n hostb link set eth0 down
    local start=$SECONDS
    until_ $((timeout + slack)) both || { echo "ranks have not ended after $((timeout + slack)) s"; return 1; }
    took=$((SECONDS - start))
    local rank
    for rank in 0 1; do
        [ "$(cat "$work/code.$rank")" -eq 75 ] \
            && grep -q "rank $rank has waited .* --resume $run" "$work/err.$rank" || {
            echo "rank $rank ended with $(cat "$work/code.$rank")"; cat "$work/err.$rank"; return 1; }
    done
    until_ 5 gone || { echo "ranks still run"; return 1; }
    kill -KILL $job 2>/dev/null; { wait $job; } 2>/dev/null
    ip -n hosta link del eth0
}

passed=0 failed=0
for mpi in ${1:-openmpi mpich}; do
    command -v "${launch[$mpi]%% *}" > /dev/null || { echo "$mpi: skipped, it is not installed"; continue; }
    if cut $mpi > "$work/check" 2>&1; then
        passed=$((passed + 1)); echo "$mpi, the wire is cut: both ranks ended with 75 after $took s"
    else
        failed=$((failed + 1)); echo "$mpi, the wire is cut: FAILED"; sed 's/^/    /' "$work/check" | tail -12
    fi
done
[ $((passed + failed)) -gt 0 ] || skip "no MPI is installed"
echo "wire: $passed passed, $failed failed, in $SECONDS s"
[ $failed -eq 0 ]
