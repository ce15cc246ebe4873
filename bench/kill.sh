#!/usr/bin/env bash
# Kills training processes by SIGKILL at random moments, and resumes each run until it ends. The weights must equal
# those of an uninterrupted run, byte for byte. Runs save a checkpoint every 1 to 5 steps in turn, and are killed up to
# 8 times each. Prints one line.
#   kill.sh [KILLS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-200}; RANDOM=${2:-1}
cli=${CUDASAE:-artifacts/bin/CudaSae.Cli/release/cudasae}
[ -n "${CUDASAE:-}" ] || dotnet build -c Release -v quiet src/CudaSae.Cli
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$cli" synth "$work/x.npy" --features 64 --width 32 --rows 4000 >/dev/null
settings=(--latents 256 --k 8 --aux-k 16 --batch-rows 128 --backend cpu)
microseconds() {
    local start=${EPOCHREALTIME/./}
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    echo $(( ${EPOCHREALTIME/./} - start ))
}
train_alone() { "$cli" train "$work/x.npy" --out "$1" "${settings[@]}" --vectors 128000 --checkpoint-every "$2"; }
begin=$(microseconds "$cli" train "$work/x.npy" --out "$work/short" "${settings[@]}" --vectors 128)
whole=$(microseconds train_alone "$work/alone" 3)
# Most kills then occur during steps and checkpoints, and a run needs several of them.
span=$(( begin + (whole - begin) / 3 ))
alone=$(sha256sum < "$work/alone/sae_weights.safetensors")

killed=0 runs=0 early=0 torn=0 resumed=0
while [ "$killed" -lt "$kills" ]; do
    every=$(( runs % 5 + 1 )) run=$work/run; rm -rf "$run"; runs=$((runs + 1))
    for life in 1 2 3 4 5 6 7 8 last; do
        if [ -e "$run/train.json" ]; then
            command=("$cli" train --resume "$run"); resumed=$((resumed + 1))
            [ -n "$(ls "$run"/checkpoint/*.safetensors 2>/dev/null)" ] || early=$((early + 1))
        else
            command=("$cli" train "$work/x.npy" --out "$run" "${settings[@]}" --vectors 128000
                --checkpoint-every "$every")
        fi
        "${command[@]}" >"$work/log" 2>&1 & process=$!
        if [ $life != last ]; then
            pause=$(( (RANDOM * 32768 + RANDOM) % span ))
            sleep "$(printf '%d.%06d' $((pause / 1000000)) $((pause % 1000000)))"
            kill -KILL $process 2>/dev/null || true
        fi
        code=0; wait $process 2>/dev/null || code=$?
        [ -z "$(ls "$run"/checkpoint/*.tmp 2>/dev/null)" ] || torn=$((torn + 1))
        case $code in
            0) break ;;
            137) killed=$((killed + 1)) ;;
            *) echo "run $runs, life $life: exit code $code"; cat "$work/log"; exit 1 ;;
        esac
    done
    [ "$(sha256sum < "$run/sae_weights.safetensors")" = "$alone" ] || {
        echo "run $runs, a checkpoint every $every steps: the weights differ from those of the uninterrupted run"
        exit 1
    }
done
echo "$killed kills in $runs runs: every run's weights equal those of the uninterrupted run; $torn kills left a" \
    "half-written checkpoint beside the good ones, $early came before the first checkpoint, $resumed resumes;" \
    "$(date -u +%F)"
