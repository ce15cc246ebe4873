#!/usr/bin/env bash
# Converts the charts of a results folder to PNG by chromium, for programs that do not show SVG.
#   bench/plots.sh FOLDER [OUT]     converts FOLDER/*.svg into OUT, by default artifacts/plots
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?bench/plots.sh FOLDER [OUT]}; out=${2:-artifacts/plots}; mkdir -p "$out"
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "chromium is not installed; open the SVG files in a browser" >&2; exit 2
}
profile=$(mktemp -d); trap 'rm -rf "$profile"' EXIT
for svg in "$folder"/*.svg; do
    png=$out/$(basename "${svg%.svg}").png
    "$chromium" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$profile" --hide-scrollbars \
        --window-size=900,600 --virtual-time-budget=2000 --screenshot="$png" "file://$(realpath "$svg")" \
        >/dev/null 2>&1
    echo "$png"
done
