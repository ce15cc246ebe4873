#!/usr/bin/env bash
# Packs the program as a .NET tool into a folder, installs it from that folder alone with an empty package cache, and
# trains with it outside the checkout.   tool.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
fail() { echo "tool.sh: $*" >&2; exit 1; }
rm -rf artifacts/tool
dotnet pack src/CudaSae.Cli -c Release -o artifacts/tool/feed -v quiet
package=(artifacts/tool/feed/CudaSae.Tool.*.nupkg)
for part in CudaSae.Cli.dll CudaSae.dll CudaSae.Lab.dll; do     # the names in a zip file are plain text
    grep -aqF "tools/net10.0/any/$part" "${package[0]}" || fail "the package lacks $part"
done
! grep -aqiF ManagedCuda "${package[0]}" || fail "the package contains ManagedCuda"

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cp -r artifacts/tool/feed "$work/feed"
cd "$work"
cat > nuget.config <<'CONFIG'
<configuration>
  <packageSources>
    <clear />
    <add key="packed" value="feed" />
  </packageSources>
</configuration>
CONFIG
export NUGET_PACKAGES=$work/packages
dotnet tool install CudaSae.Tool --tool-path tools --prerelease --configfile nuget.config
cudasae=$work/tools/cudasae

version=$("$cudasae" --version)
name=$(basename "${package[0]}" .nupkg)
[ "${version%%+*}" = "${name#CudaSae.Tool.}" ] || fail "the program has version $version, the package is $name"
"$cudasae" devices | tee devices
grep -q '^cpu  *[0-9]* threads' devices || fail "devices lists no CPU"
engine=(tools/.store/*/*/*/*/tools/net10.0/any/CudaSae.dll)
if [ -e "$root/artifacts/kernels/index" ]; then
    grep -aqF kernels/sm_80/ "${engine[0]}" || fail "the tool has no kernels"
fi

"$cudasae" synth x.npy --features 64 --width 32 --rows 4096
"$cudasae" train x.npy --latents 64 --k 4 --batch-rows 256 --vectors 50000 --backend cpu --seed 1 --out run | tail -n 8
for file in cfg.json sae_weights.safetensors metrics.csv; do [ -s "run/$file" ] || fail "the run has no $file"; done
"$cudasae" eval run | tail -n 8
echo "cudasae $version: installed from a folder, trained and evaluated"
