#!/usr/bin/env bash
# Toy models of superposition: equal importance, falling importance, and SAEs with at most as many latents as features.
#   toy.sh [OUT]     default OUT: runs/toy
# CUDASAE names a program that replaces the one built from this checkout.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-runs/toy}
cudasae=${CUDASAE:-dotnet run -c Release --project src/CudaSae.Cli --}
$cudasae toy --out "$out/equal"
$cudasae toy --importance 0.9 --out "$out/falling"
$cudasae toy --latents 20 --out "$out/narrow"
