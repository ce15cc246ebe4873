#!/usr/bin/env bash
# Trains on two nodes of a SLURM cluster that lies in namespaces of this machine: srun starts two ranks, one rank is
# killed, and the job, which is queued again, resumes by the same command. The weights must equal those of one process.
# Needs root and the packages slurmctld, slurmd, slurm-client, munge and mpich. Exit code 4 means that it was skipped,
# for the reason in its last line. No daemon stays: they are in a process namespace.
#   PROGRAM=artifacts/bin/CudaSae.Cli/release/cudasae slurm.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${PROGRAM:-artifacts/bin/CudaSae.Cli/release/cudasae}")
[ -x "$program" ] || { echo "$program is not built" >&2; exit 2; }
skip() { echo "slurm: skipped, $1"; exit 4; }

if [ -z "${INSIDE:-}" ]; then
    [ "$(id -u)" -eq 0 ] || skip "the daemons need root"
    for tool in unshare ip slurmctld slurmd srun sbatch munged mungekey mpiexec.hydra; do
        command -v $tool > /dev/null || skip "$tool is not installed"
    done
    own=(--net --mount --uts --pid --fork --kill-child --mount-proc)
    why=$(unshare "${own[@]}" mount -t tmpfs tmpfs /run 2>&1) || skip "namespaces cannot be created here: $why"
    work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
    INSIDE=1 WORK=$work unshare "${own[@]}" bash "$(realpath "$0")"
    exit
fi

work=$WORK
export TERM=dumb DOTNET_PROCESSOR_COUNT=1 SLURM_CONF=$work/slurm.conf
fail() { echo "slurm: FAILED, $1"; tail -n 15 "$work"/*.log "$work"/job.out 2>/dev/null; exit 1; }
until_() {      # until_ SECONDS COMMAND...
    local end=$((SECONDS + $1)); shift
    until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done
}

mount -t tmpfs tmpfs /run
hostname control
printf '127.0.0.1 localhost\n10.77.1.1 control\n' > "$work/hosts"; mount --bind "$work/hosts" /etc/hosts
ip link set lo up
ip link add sae0 type veth peer name sae1               # SLURM needs an address other than that of lo
ip addr add 10.77.1.1/24 dev sae0; ip link set sae0 up; ip link set sae1 up
mkdir -m 755 /run/munge
mungekey --create --keyfile="$work/munge.key" || fail "no munge key"
munged --foreground --force --key-file="$work/munge.key" --log-file="$work/munge.log" --seed-file="$work/munge.seed" \
    --pid-file=/run/munge/pid > "$work/munged.log" 2>&1 &
cat > "$SLURM_CONF" <<CONF
ClusterName=sae
SlurmctldHost=control(10.77.1.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd-%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd-%n.log
SelectType=select/cons_tres
ReturnToService=2
JobRequeue=1
NodeName=n1 NodeHostname=control NodeAddr=10.77.1.1 Port=17001 CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostname=control NodeAddr=10.77.1.1 Port=17002 CPUs=1 State=UNKNOWN
PartitionName=p Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
mkdir "$work/state" "$work/spool-n1" "$work/spool-n2"
until_ 10 test -S /run/munge/munge.socket.2 || fail "munged does not start"
slurmctld -D > "$work/control.log" 2>&1 &
until_ 20 scontrol ping > "$work/ping" 2>&1
for node in n1 n2; do slurmd -D -N $node > "$work/$node.log" 2>&1 & done
idle() { [ "$(sinfo -h -o %D -t idle 2>/dev/null)" = 2 ]; }
until_ 30 idle || fail "the nodes do not come up"

settings="--latents 2048 --vectors 153600 --batch-rows 256 --backend cpu --held-out 256 --checkpoint-every 20"
"$program" synth "$work/x.npy" --features 200 --width 64 --rows 6000 > "$work/alone.log" || fail "no data"
"$program" train "$work/x.npy" $settings --out "$work/alone" > "$work/alone.log" 2>&1 || fail "one process"
cat > "$work/job.sh" <<JOB
#!/bin/bash
#SBATCH --nodes=2 --ntasks=2 --requeue --open-mode=append --output=$work/job.out
echo "start \${SLURM_RESTART_COUNT:-0}"
srun --mpi=pmi2 --kill-on-bad-exit=1 $program train $work/x.npy $settings --out $work/run --resume-if-any && exit
code=\$?
[ \$code -ne 2 ] && [ "\${SLURM_RESTART_COUNT:-0}" -lt 5 ] && scontrol requeue \$SLURM_JOB_ID
exit \$code
JOB
sbatch "$work/job.sh" > "$work/sbatch.log" || fail "sbatch"
saved() { compgen -G "$work/run/checkpoint/step-*.index.json" > /dev/null; }
until_ 60 saved || fail "no checkpoint"
victim=$(pgrep -f "^$program train .*--out $work/run" | tail -1)
kill -KILL "$victim" || fail "no rank to kill"
again() { grep -q 'start 1' "$work/job.out"; }
until_ 120 again || { squeue; fail "the job does not start again"; }
ended() { grep -qE "Saved in|is complete" "$work/job.out" && [ -z "$(squeue -h)" ]; }
until_ 90 ended || { squeue; fail "the job does not end"; }
cmp "$work/alone/sae_weights.safetensors" "$work/run/sae_weights.safetensors" || fail "other weights"
echo "slurm: passed in $SECONDS s: a rank was killed, and the job that was queued again ended with the weights of one" \
    "process"
