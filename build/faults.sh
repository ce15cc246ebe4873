#!/usr/bin/env bash
# The long version of the fault tests: every driver call of a run fails in turn, in three ways, on the emulator. Then
# SIGKILL ends training processes 200 times.
#   faults.sh [KILLS]
set -euo pipefail
cd "$(dirname "$0")/.."
dotnet build -v quiet tests/CudaSae.Tests
artifacts/bin/CudaSae.Tests/debug/CudaSae.Tests --explicit only --filter-class 'CudaSae.Tests.FaultTests' \
    --output Detailed
bash bench/kill.sh "${1:-200}"
