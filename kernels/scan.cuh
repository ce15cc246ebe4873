// Exclusive sums of whole numbers: over a block, and by one block over an array.
#pragma once
#include "common.cuh"

// Exclusive sum of v over the block, and the total. scratch: one T a warp, in shared memory. All threads of the block
// must call it.
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

// Replaces values[0, length) by their exclusive sums, by one block; returns the total. volatile: other blocks of the
// same launch may have written them.
template <typename T> __device__ __forceinline__ T sum_in_place(volatile T* values, int length, T* scratch) {
    T before = 0;
    for (int tile = 0; tile < length; tile += blockDim.x) {
        int i = tile + threadIdx.x;
        T v = i < length ? values[i] : T(0), total;
        T exclusive = exclusive_sum(v, scratch, total);
        if (i < length) values[i] = before + exclusive;
        before += total;
    }
    return before;
}
