#!/usr/bin/env bash
# Prints the path of nvcc, or nothing: $NVCC, $CUDA_PATH, /usr/local/cuda, what install-nvcc.sh made, PATH.
for candidate in "${NVCC:-}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" /usr/local/cuda/bin/nvcc "$HOME/.cache/cuda-12.4/nvcc" "$(command -v nvcc || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then echo "$candidate"; exit 0; fi
done
