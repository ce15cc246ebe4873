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

// Exclusive sum of v over the block, and the total. scratch: one T a warp, in shared memory. All threads of the block must come.
template <typename T> __device__ __forceinline__ T exclusive_sum(T v, T* scratch, T& total) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    T sum = v;
    for (int offset = 1; offset < 32; offset *= 2) {
        T left = __shfl_up_sync(0xffffffffu, sum, offset);
        if (lane >= offset) sum += left;
    }
    __syncthreads();
    if (lane == 31) scratch[warp] = sum;
    __syncthreads();
    T before = 0;
    total = 0;
    for (int w = 0; w < int(blockDim.x / 32); ++w) {
        if (w < warp) before += scratch[w];
        total += scratch[w];
    }
    return before + sum - v;
}
