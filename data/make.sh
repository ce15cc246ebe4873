#!/usr/bin/env bash
# Makes the shipped activations again, byte for byte: it encodes WordNet's glosses (Debian package wordnet-base).
#   data/make.sh       needs apt, npm and the .NET SDK, and takes about a minute
set -euo pipefail
cd "$(dirname "$0")/.."
bash build/fetch-use-lite.sh
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download wordnet-base >/dev/null 2>&1 && dpkg -x wordnet-base_*.deb wn)
# One gloss for each line, without its quoted examples. Every 23rd gloss is used, so that neighbours in WordNet's order
# are far apart.
for part in noun verb adj adv; do grep -v '^  ' "$work/wn/usr/share/wordnet/data.$part"; done |
    sed -e 's/^[^|]*| *//' -e 's/; *".*//' -e 's/^(\([^)]*\)) *//' -e 's/ *$//' |
    awk 'split($0, word, " ") >= 5 && !seen[$0]++ && NR % 23 == 0' > "$work/glosses.txt"
dotnet run -c Release --project src/CudaSae.Cli -- harvest use-lite --text "$work/glosses.txt" \
    --out data/use_lite_resid_post0_train.npy --rows 16384 \
    --held-out data/use_lite_resid_post0_held_out.npy --held-out-rows 2048
