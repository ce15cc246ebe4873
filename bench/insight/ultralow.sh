#!/bin/sh
# The ultralow-density cluster (Anthropic, Circuits Updates, January and February 2024). Trains ReLU and L1 with a unit
# decoder, with and without the pre-encoder bias and otherwise equal, and prints the diagnostics of both.
#   sh bench/insight/ultralow.sh [DATA] [OUT] [LAMBDA] [SEED] [RATE]
# A run takes two minutes on two cores. docs/guide/diagnostics.md shows the results.
set -e
cd "$(dirname "$0")/../.."
data=${1:-data/use_lite_resid_post0_train.npy} out=${2:-runs/ultralow} lambda=${3:-10} seed=${4:-1} rate=${5:-0.001}
cudasae=${CUDASAE:-dotnet run -c Release --project src/CudaSae.Cli --}
for run in pre:monosemanticity none:relu-unit; do
    to=$out/l$lambda-r$rate-seed$seed-${run%%:*}
    [ -e "$to/sae_weights.safetensors" ] || $cudasae train "$data" --preset "${run#*:}" \
        --set config.resampling=null --set spec.penalty.warmup_fraction=0.05 --latents 2048 \
        --coefficient "$lambda" --vectors 2949120 --learning-rate "$rate" --log-every 50 --density-every 48 \
        --seed "$seed" --out "$to"
    $cudasae inspect "$to" "$data" --rows 1000000
done
