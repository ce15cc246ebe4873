#!/usr/bin/env bash
# Prints the path of nvcc, or nothing. It searches $NVCC, $CUDA_PATH, /usr/local/cuda, the folder of install-nvcc.sh,
# and PATH.
for candidate in "${NVCC:-}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" /usr/local/cuda/bin/nvcc \
    "$HOME/.cache/cuda-12.4/nvcc" "$(command -v nvcc || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then echo "$candidate"; exit 0; fi
done
