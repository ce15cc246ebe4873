#!/usr/bin/env bash
# Installs NVIDIA's CUDA 12.4 compiler into one folder, from the non-free part of Debian trixie, without changes to the
# system's packages. It downloads about 1 GB from the mirror that this machine's apt uses.
#   install-nvcc.sh [DEST]   default DEST: $HOME/.cache/cuda-12.4
set -euo pipefail
dest=${1:-$HOME/.cache/cuda-12.4}
if [ -x "$dest/nvcc" ]; then echo "$dest/nvcc exists already"; exit 0; fi
fail() { echo "install-nvcc.sh: $*" >&2; exit 1; }
command -v apt-get >/dev/null ||
    fail "apt is needed; without it, install the CUDA toolkit 12.4 or newer by hand and set CUDA_PATH"

mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' |
    grep -oE 'https?://[^ ]+/debian(/| |$)' | head -1 | tr -d ' ' || true)
[ -n "$mirror" ] || fail "this machine's apt sources have no Debian mirror"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$dest"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror trixie main non-free" > "$work/sources.list"
apt() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" "$@"
}
apt update > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
packages=(nvidia-cuda-toolkit nvidia-cuda-dev libnvvm4 libnvrtc12 libnvrtc-builtins12.4 libcu++-dev)
(cd "$work" && apt download "${packages[@]}" > "$work/log" 2>&1) || { cat "$work/log" >&2; exit 1; }
for package in "${packages[@]}"; do
    archive=$(echo "$work/$package"_*.deb)
    # Only the headers of the development package are needed; its static libraries take 3 GB.
    if [ "$package" = nvidia-cuda-dev ]; then
        dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$dest" --wildcards './usr/include/*'
    else dpkg-deb -x "$archive" "$dest"; fi
done
cat > "$dest/nvcc" <<'WRAPPER'
#!/usr/bin/env bash
root=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)/usr
export PATH=$root/lib/nvidia-cuda-toolkit/bin:$root/bin:$PATH LD_LIBRARY_PATH=$root/lib/x86_64-linux-gnu
export NVVMIR_LIBRARY_DIR=$root/lib/nvidia-cuda-toolkit/libdevice
exec "$root/lib/nvidia-cuda-toolkit/bin/nvcc" -ccbin "${NVCC_CCBIN:-g++}" -I"$root/include" "$@"
WRAPPER
chmod +x "$dest/nvcc"
"$dest/nvcc" --version | tail -1
