#!/usr/bin/env bash
# Fetches Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT) from its Debian package, checks it, and unpacks its four IDX
# files and its licence into one folder, without root. It downloads 30 MB from the mirror that this machine's apt uses.
#   fetch-fashion-mnist.sh [DEST]     default DEST: artifacts/fashion-mnist
set -euo pipefail
cd "$(dirname "$0")/.."
dest=${1:-artifacts/fashion-mnist}
files=(train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz)
fail() { echo "fetch-fashion-mnist.sh: $*" >&2; exit 1; }
whole() { for file in "${files[@]}"; do [ -f "$dest/$file" ] || return 1; done; }
check() {
    (cd "$dest" && sha256sum --check --quiet) <<'SUMS' || fail "$dest has wrong files; delete it and run this again"
b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7  train-images-idx3-ubyte.gz
0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056  train-labels-idx1-ubyte.gz
cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa  t10k-images-idx3-ubyte.gz
8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05  t10k-labels-idx1-ubyte.gz
SUMS
}
if whole; then check; echo "$dest exists already"; exit 0; fi
mkdir -p "$dest"
installed=/usr/share/datasets/fashion-mnist
if [ -f "$installed/${files[0]}" ]; then
    for file in "${files[@]}"; do cp "$installed/$file" "$dest/"; done
    cp /usr/share/doc/dataset-fashion-mnist/copyright "$dest/"
    check; echo "copied from $installed to $dest"; exit 0
fi
command -v apt-get >/dev/null ||
    fail "apt is needed; without it, get the four IDX files from the project's page and put them into $dest"

mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' |
    grep -oE 'https?://[^ ]+/debian(/| |$)' | head -1 | tr -d ' ' || true)
[ -n "$mirror" ] || fail "this machine's apt sources have no Debian mirror"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"; : > "$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror stable main" > "$work/sources.list"
apt() {
    apt-get -q -o Dir::State::status="$work/status" -o Dir::Etc::sourcelist="$work/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" "$@"
}
apt -o APT::Update::Error-Mode=any update > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
(cd "$work" && apt download dataset-fashion-mnist > "$work/log" 2>&1) || { cat "$work/log" >&2; exit 1; }
dpkg-deb -x "$work"/dataset-fashion-mnist_*.deb "$work/unpacked"
cp "$work/unpacked$installed"/*.gz "$work/unpacked/usr/share/doc/dataset-fashion-mnist/copyright" "$dest/"
check
echo "Fashion-MNIST in $dest"
