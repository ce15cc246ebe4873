// The threads that work on one latent: a warp for narrow rows, a block for wide ones. Thread r of s has columns 8 (r +
// s v) to 8 (r + s v) + 7, v = 0, 1, ...
#pragma once
#include "common.cuh"

struct WarpGroup {
    // entries whose loads are issued together where a thread has eight columns
    static constexpr int AHEAD = 4;
    int first = 0;                                          // column of rank 0
    __device__ __forceinline__ int rank() const { return threadIdx.x % 32; }
    __device__ __forceinline__ int column(int v) const { return first + (v * 32 + rank()) * 8; }
    __device__ __forceinline__ float sum(float v) const { return warp_sum(v); }
    __device__ __forceinline__ float largest(float v) const {
        for (int offset = 16; offset > 0; offset >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
        return v;
    }
    __device__ __forceinline__ void sync() const { __syncwarp(); }
};

template <int ENTRIES> struct BlockGroup {
    static constexpr int AHEAD = ENTRIES;
    float* scratch;                                         // [32] in shared memory
    __device__ __forceinline__ int rank() const { return threadIdx.x; }
    __device__ __forceinline__ int column(int v) const { return (v * int(blockDim.x) + rank()) * 8; }
    __device__ __forceinline__ float sum(float v) const { return block_sum(v, scratch); }
    __device__ __forceinline__ float largest(float v) const {
        v = WarpGroup().largest(v);
        __syncthreads();
        if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
        __syncthreads();
        for (int w = 0; w < int(blockDim.x / 32); ++w) v = fmaxf(v, scratch[w]);
        return v;
    }
    __device__ __forceinline__ void sync() const { __syncthreads(); }
};

// The start of a row of a matrix. Both numbers are unsigned: the product is one instruction, and no upper half takes a
// register.
__device__ __forceinline__ size_t row_start(uint32_t row, uint32_t width) { return size_t(row) * width; }

// Calls body(v, column) for a thread's columns below width.
template <int V, class Group, class Body>
__device__ __forceinline__ void each_column(const Group& group, int width, Body body) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
        int column = group.column(v);
        if (column < width) body(v, column);
    }
}
