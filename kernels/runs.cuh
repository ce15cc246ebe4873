// Runs: the entries that hold one latent. Made by index.cu, visited by update.cu.
#pragma once
#include "common.cuh"

constexpr int PART_ENTRIES = 256;       // a longer run is summed part by part

// Latents in the order of their visits stand by class, and in a class by number. Class c < IDLE has runs of 2^(7 - c) entries up to twice as many, class 0 all
// longer ones, the last of them also latents that have gradients without entries. IDLE: no gradient at all.
constexpr int IDLE = 8, RUN_CLASSES = IDLE + 1;
constexpr int SHORT_CLASS = 3;          // from here on fewer than 32 entries

__device__ __forceinline__ int run_class(uint32_t length, bool touched) { return length == 0 ? (touched ? IDLE - 1 : IDLE) : max(0, __clz(int(length)) - (31 - (IDLE - 1))); }

// A run's length and its parts, as they are summed.
__device__ __forceinline__ uint64_t run_size(uint32_t length) {
    uint64_t parts = length > PART_ENTRIES ? (length + PART_ENTRIES - 1) / PART_ENTRIES : 0;
    return length | parts << 32;
}
__device__ __forceinline__ uint32_t run_entry(uint64_t start) { return uint32_t(start); }
__device__ __forceinline__ uint32_t run_part(uint64_t start) { return uint32_t(start >> 32); }
