#!/usr/bin/env bash
# Packs the engine. A program outside the solution then restores the package, trains and encodes with it.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf artifacts/packages artifacts/consumer
dotnet pack src/CudaSae -c Release -o artifacts/packages -v quiet
for part in README.md lib/net10.0/CudaSae.dll lib/net10.0/CudaSae.xml; do      # the names in a zip file are plain text
    grep -aqF "$part" artifacts/packages/CudaSae.[0-9]*.nupkg || { echo "the package lacks $part" >&2; exit 1; }
done
grep -aqF CudaSae.pdb artifacts/packages/CudaSae.[0-9]*.snupkg || {
    echo "the symbol package lacks CudaSae.pdb" >&2; exit 1
}
mkdir -p artifacts/consumer
cp -r tests/consumer/. artifacts/consumer/
cd artifacts/consumer
export NUGET_PACKAGES=$PWD/packages
dotnet run -c Release -v quiet --property:RestoreConfigFile="$PWD/nuget.config" | tee output
grep -q 'row 2: latents' output
