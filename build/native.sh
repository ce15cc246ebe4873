#!/usr/bin/env bash
# Builds the engine as a library with a C ABI: artifacts/native/libcudasae.so, with cudasae.h and cudasae.py beside it.
# It needs gcc or clang, and the package feed for the first build. Arguments are passed to dotnet publish;
# -p:IlcInstructionSet=x86-x64-v4 compiles for CPUs with AVX-512.
set -euo pipefail
cd "$(dirname "$0")/.."
dotnet publish src/CudaSae.Native -c Release -r linux-x64 -v quiet "$@"
mkdir -p artifacts/native
# The library is renamed into place, so that a program that has the old one open keeps it unchanged.
cp artifacts/publish/CudaSae.Native/release_linux-x64/libcudasae.so artifacts/native/libcudasae.so.new
mv artifacts/native/libcudasae.so.new artifacts/native/libcudasae.so
cp src/CudaSae.Native/cudasae.h src/CudaSae.Native/cudasae.py artifacts/native/
ls -l artifacts/native | awk 'NR > 1 { print $5, $9 }'
