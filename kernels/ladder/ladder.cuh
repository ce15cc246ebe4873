// What the rungs share: which 128 x 128 tile a block computes, and how sums are stored to C.
//   256 threads; on tensor cores 8 warps as 4 x 2, a warp owns 32 x 64: 64 accumulators a thread. K goes in steps of
//   32.
#pragma once
#include "../ptx.cuh"

constexpr int LADDER_TILE = 128;
constexpr int LADDER_K = 32;
constexpr int LADDER_THREADS = 256;

// One step of K of both operands, 64 bytes a row.
struct LadderStage {
    bf16_bits x[LADDER_TILE * LADDER_K];
    bf16_bits w[LADDER_TILE * LADDER_K];
};
constexpr int ladder_stage_shared_bytes() { return sizeof(LadderStage); }

struct LadderTile { int row, column; };     // first of the block's tile

// Neighbouring blocks share a column tile, which then stays in the second-level cache.
__device__ __forceinline__ LadderTile ladder_tile(const LadderParams& p) {
    const int row_tiles = (p.rows + LADDER_TILE - 1) / LADDER_TILE;
    return {int(blockIdx.x) % row_tiles * LADDER_TILE, int(blockIdx.x) / row_tiles * LADDER_TILE};
}

__device__ __forceinline__ void ladder_store(const LadderParams& p, int row, int column, float sum) {
    if (row < p.rows && column < p.columns) p.c[int64_t(row) * p.columns + column] = sum + p.bias[column];
}

// First row and column of a warp's 32 x 64 within the tile.
__device__ __forceinline__ int warp_row() { return threadIdx.x / 64 * 32; }
__device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % 2 * 64; }

using WarpSums = float[2][8][4];            // [m][n][i]: 16 rows, 8 columns, the four of mma.m16n8k16

// w: two blocks of 8 columns in one, as {low K, high K, low K, high K}
struct WarpFragments { uint32_t x[2][4], w[4][4]; };

__device__ __forceinline__ void warp_mma(const WarpFragments& f, WarpSums& sums) {
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 8; ++n)
            mma_bf16_16816(sums[m][n], f.x[m], f.w[n / 2][n % 2 * 2], f.w[n / 2][n % 2 * 2 + 1]);
}

// Lane map: mma_tile.cuh draws the accumulators of mma.m16n8k16.
__device__ __forceinline__ void warp_store(const LadderParams& p, LadderTile at, const WarpSums& sums) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                ladder_store(p, at.row + warp_row() + m * 16 + i / 2 * 8 + lane / 4,
                             at.column + warp_column() + n * 8 + lane % 4 * 2 + i % 2, sums[m][n][i]);
}

// Chunk c (8 elements of K) of row r of a stage lies at c ^ (r / 2 % 4): the 8 rows of an ldmatrix then lie in 8
// different groups of banks.
__device__ __forceinline__ int swizzled(int row, int chunk) { return row * LADDER_K + (chunk ^ (row / 2 % 4)) * 8; }

// Loads half (0 or 1) of a step of K from a swizzled stage. Lane map: PTX ISA, ldmatrix.
__device__ __forceinline__ void warp_load(const LadderStage& s, int half, WarpFragments& f) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < 2; ++m)
        ldmatrix_x4(f.x[m], s.x + swizzled(warp_row() + m * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
    for (int n = 0; n < 4; ++n)
        ldmatrix_x4(f.w[n], s.w + swizzled(warp_column() + n * 16 + lane % 8 + lane / 16 * 8, half * 2 + lane / 8 % 2));
}

// Copies one step of K of an operand by cp.async into a swizzled stage: two chunks of 16 bytes a thread, zeros for rows
// from `end` on.
__device__ __forceinline__ void copy_step(const bf16_bits* from, int first, int end, int ld, int k, bf16_bits* to) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int r = threadIdx.x / 4 + 64 * i, chunk = threadIdx.x % 4;
        const bool exists = first + r < end;
        cp_async16(to + swizzled(r, chunk), from + int64_t(exists ? first + r : first) * ld + k + chunk * 8,
                   exists ? 16 : 0);
    }
}
