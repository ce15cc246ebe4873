// Runs: the entries that hold one latent. index.cu builds them, update.cu reads them.
#pragma once
#include "common.cuh"

constexpr int PART_ENTRIES = 256;       // a longer run is summed in parts of this length

// `order` lists the latents by class, and within a class by number. Class c < NO_GRADIENT has runs of 2^(7 - c) entries
// or more, up to twice as many; class 0 also has all longer runs, and class NO_GRADIENT - 1 also the latents that have
// gradients without entries. Class NO_GRADIENT has latents without a gradient.
constexpr int NO_GRADIENT = 8, RUN_CLASSES = NO_GRADIENT + 1;
constexpr int SHORT_CLASS = 3;          // from here on fewer than 32 entries

__device__ __forceinline__ int run_class(uint32_t length, bool has_gradient) {
    return length == 0 ? (has_gradient ? NO_GRADIENT - 1 : NO_GRADIENT)
        : max(0, __clz(int(length)) - (31 - (NO_GRADIENT - 1)));
}

// A run's length, and the number of its parts.
__device__ __forceinline__ uint64_t run_size(uint32_t length) {
    uint64_t parts = length > PART_ENTRIES ? (length + PART_ENTRIES - 1) / PART_ENTRIES : 0;
    return length | parts << 32;
}
__device__ __forceinline__ uint32_t run_entry(uint64_t start) { return uint32_t(start); }
__device__ __forceinline__ uint32_t run_part(uint64_t start) { return uint32_t(start >> 32); }
