#!/usr/bin/env bash
# Makes self-contained archives of the program, which need no .NET:
# artifacts/release/cudasae-VERSION-PLATFORM.tar.gz (.zip for Windows) with LICENSE and THIRD-PARTY-NOTICES.txt inside,
# and SHA256SUMS beside them.
#   release.sh [PLATFORM...]     default: linux-x64 win-x64 osx-arm64
# A platform whose runtime package is not on the feed is skipped with one line, and the exit code is then 4. The
# archive of this machine's platform is unpacked and run.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- linux-x64 win-x64 osx-arm64
out=$PWD/artifacts/release
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
fail() { echo "release.sh: $*" >&2; exit 1; }

# field NUSPEC NAME: the text of an element
field() { sed -nE "s:.*<$2[^>]*>(.*)</$2>.*:\1:p" "$1" | head -1; }

# notice FOLDER PLATFORM: the packages that the program's deps.json names, with the terms of each
notice() {
    local name number spec license
    echo "cudasae is licensed under Apache-2.0 (LICENSE). This archive also contains the following packages."
    while IFS=/ read -r name number; do
        spec=$packages/${name,,}/$number/${name,,}.nuspec
        [ -f "$spec" ] || fail "$spec is missing"
        license=$(field "$spec" license)
        printf '\n%s %s\n%s\n%s\nLicence: %s\n' "$name" "$number" "$(field "$spec" copyright)" \
            "$(field "$spec" projectUrl)" "$license"
        case $license in
            MIT) echo "The text of this licence is at the end of this file." ;;
            Apache-2.0 | *' OR Apache-2.0') echo "It is used under Apache-2.0, whose text is in LICENSE." ;;
            *) fail "the terms of $name, $license, are not known to release.sh" ;;
        esac
    done < <(awk -F'"' '/^    "[^"]+\/[^"]+": \{/ { name = $2 } /"type": "package"/ { print name }' \
        "$1/CudaSae.Cli.deps.json")
    printf '\nThe .NET runtime\nLicence: MIT. Its own terms and notices are in DOTNET-LICENSE.txt and %s.\n' \
        DOTNET-THIRD-PARTY-NOTICES.txt
    printf '\nMIT licence\n\n'; cat build/mit.txt
}

# runtime FOLDER: the runtime package that the program contains, as NAME/VERSION
runtime() { sed -nE 's/.*"runtimepack\.([^"]+)": \{/\1/p' "$1/CudaSae.Cli.deps.json" | head -1; }

archive() {     # archive PLATFORM
    local folder pack
    mkdir -p "$work/$1"
    if ! dotnet publish src/CudaSae.Cli -c Release -r "$1" --self-contained -v quiet -o "$work/$1/cudasae" \
            -p:DebugType=none > "$work/log" 2>&1; then
        grep -qE 'NU1101|NU1102' "$work/log" || { cat "$work/log" >&2; fail "the program for $1 was not built"; }
        echo "$1: skipped, this feed has no runtime package for it"; missing=4
        return
    fi
    folder=$work/$1/cudasae
    rm -f "$folder"/CudaSae.Cli "$folder"/CudaSae.Cli.exe      # cudasae is the same file
    ! ls "$folder" | grep -qi ManagedCuda || fail "the archive contains ManagedCuda"
    cp LICENSE "$folder/LICENSE"
    notice "$folder" > "$folder/THIRD-PARTY-NOTICES.txt"
    pack=$(runtime "$folder"); pack=$packages/${pack,,}
    cp "$pack/LICENSE.TXT" "$folder/DOTNET-LICENSE.txt"
    cp "$pack/THIRD-PARTY-NOTICES.TXT" "$folder/DOTNET-THIRD-PARTY-NOTICES.txt"
    pack_folder "$1" "$out/cudasae-$version-$1"
}

pack_folder() {     # pack_folder PLATFORM TO: one folder, cudasae, in a tar or zip file
    case $1 in
        win-*) rm -f "$2.zip"; (cd "$work/$1" && python3 -m zipfile -c "$2.zip" cudasae) ;;
        *) tar -C "$work/$1" --sort=name --owner=0 --group=0 --numeric-owner -c cudasae | gzip -n > "$2.tar.gz" ;;
    esac
}

smoke() {       # the archive of this platform, unpacked elsewhere, without the SDK's settings
    mkdir -p "$work/smoke"; tar -C "$work/smoke" -xzf "$1"
    (cd "$work/smoke" && unset DOTNET_ROOT
     [ "$(cudasae/cudasae --version | cut -d+ -f1)" = "$version" ] || fail "the program's version is not $version"
     cudasae/cudasae synth x.npy --features 64 --width 32 --rows 4096 > log
     cudasae/cudasae train x.npy --latents 64 --k 4 --batch-rows 256 --vectors 50000 --backend cpu --out run > log
     [ -s run/sae_weights.safetensors ] || { cat log >&2; fail "the program did not train"; })
    echo "$(basename "$1"): unpacked, and a small SAE trained"
}

rm -rf "$out"; mkdir -p "$out"
missing=0
dotnet restore src/CudaSae.Cli -v quiet
version=$(dotnet msbuild src/CudaSae.Cli -t:MinVer -getProperty:Version)
for platform in "$@"; do archive "$platform"; done
for file in "$out"/*-linux-"$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')".tar.gz; do
    [ ! -e "$file" ] || smoke "$file"
done
if compgen -G "$out/cudasae-*" > /dev/null; then
    (cd "$out" && sha256sum cudasae-* > SHA256SUMS && ls -l | awk 'NR > 1 { print $5, $9 }')
fi
exit $missing
