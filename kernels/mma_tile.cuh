// The matrix product that encode and the dense path share: one block computes a 128 x 128 tile of A Bᵀ on tensor cores.
//   128 threads, 4 warps as 2 x 2. A warp owns 64 x 64: 128 accumulators a thread. With 64 x 64 a warp reads 4 KB of
//   shared memory for 65,536 products, which keeps the time of shared memory (128 B a clock) below that of the tensor
//   cores even on sm_90.
//   K goes in steps of 32 through 4 stages of cp.async: 64 KB, two blocks a multiprocessor on sm_80 and sm_90.
// Both operands are bf16 with K contiguous. Sums are f32, in an order that depends on K alone: an element has the same
// bits wherever its row and column lie in the tile. With int sums the same bytes are multiplied as signed 8-bit
// numbers, two in the place of one bf16: fragments of m16n8k32 lie byte for byte where those of m16n8k16 do (PTX ISA).
#pragma once
#include "ptx.cuh"

constexpr int TILE = 128;
constexpr int TILE_K = 32;
constexpr int TILE_STAGES = 4;
constexpr int TILE_THREADS = 128;

struct TileShared {
    bf16_bits a[TILE_STAGES][TILE * TILE_K];
    bf16_bits b[TILE_STAGES][TILE * TILE_K];
};
constexpr int tile_shared_bytes() { return sizeof(TileShared); }

// Up to 128 rows of a matrix. Tile row r is matrix row first + r, or index[first + r] with an index. Rows from `end` on
// are zeros.
struct TileOperand {
    const bf16_bits* base;      // 16-byte aligned
    int64_t stride;             // elements between rows, a multiple of 8
    const int* index;           // null: rows in the order of the matrix
    int first, end;             // end > first
};

// What this thread copies of one operand: one 16-byte chunk of four rows, at every step of K.
struct TileSource {
    const bf16_bits* row[4];
    uint32_t valid;             // bit i: row[i] exists
};

__device__ __forceinline__ TileSource tile_source(const TileOperand& operand) {
    TileSource source;
    source.valid = 0;
    for (int i = 0; i < 4; ++i) {
        int r = operand.first + int(threadIdx.x) / 4 + 32 * i;
        bool exists = r < operand.end;
        int64_t from = exists ? r : operand.first;
        if (operand.index) from = operand.index[from];
        source.row[i] = operand.base + from * operand.stride + threadIdx.x % 4 * 8;
        source.valid |= uint32_t(exists) << i;
    }
    return source;
}

// A stage holds rows of 64 bytes, two to a line of 128. Chunk c of row r lies at c ^ (r / 2 % 4), so that the 8 rows of
// an ldmatrix, and the 8 threads of a store, access 8 different chunks of a line.
__device__ __forceinline__ void tile_copy(const TileSource& source, int k, bf16_bits* stage) {
    int row = threadIdx.x / 4, chunk = (threadIdx.x % 4) ^ (row / 2 % 4);
    for (int i = 0; i < 4; ++i)
        cp_async16(stage + (row + 32 * i) * TILE_K + chunk * 8, source.row[i] + k, source.valid >> i & 1 ? 16 : 0);
}

struct TileFragments { uint32_t a[4][4], b[4][4]; };

// Loads half (0 or 1) of a step of K into registers. Lane maps: PTX ISA, fragments of mma.m16n8k16.
__device__ __forceinline__ void tile_fragments(const bf16_bits* a, const bf16_bits* b, int half, TileFragments& f) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int a_row = warp % 2 * 64 + lane % 16, a_chunk = (half * 2 + lane / 16) ^ (a_row / 2 % 4);
    int b_row = warp / 2 * 64 + lane % 8 + lane / 16 * 8, b_chunk = (half * 2 + lane / 8 % 2) ^ (b_row / 2 % 4);
#pragma unroll
    for (int i = 0; i < 4; ++i) ldmatrix_x4(f.a[i], a + (a_row + 16 * i) * TILE_K + a_chunk * 8);
#pragma unroll
    for (int i = 0; i < 4; ++i) ldmatrix_x4(f.b[i], b + (b_row + 16 * i) * TILE_K + b_chunk * 8);
}

// The warp's 64 x 64 sums: [m][n][i] is tile row tile_row(m, i / 2), tile column tile_column(n) + i % 2. The
// accumulators c[] of one mma.m16n8k16 (fixed m and n) lie as follows; an entry is lane.element:
//
//   column     0      1      2      3      4      5      6      7
//   row  0   0.c0   0.c1   1.c0   1.c1   2.c0   2.c1   3.c0   3.c1      row_half 0
//   row  1   4.c0   4.c1   5.c0   5.c1   6.c0   6.c1   7.c0   7.c1
//   ...
//   row  7  28.c0  28.c1  29.c0  29.c1  30.c0  30.c1  31.c0  31.c1
//   row  8   0.c2   0.c3   1.c2   1.c3   2.c2   2.c3   3.c2   3.c3      row_half 1
//   ...
//   row 15  28.c2  28.c3  29.c2  29.c3  30.c2  30.c3  31.c2  31.c3
template <typename Sum> using TileSumsOf = Sum[4][8][4];
using TileSums = TileSumsOf<float>;

__device__ __forceinline__ int tile_row(int m, int row_half) {
    return threadIdx.x / 32 % 2 * 64 + m * 16 + row_half * 8 + threadIdx.x % 32 / 4;
}
__device__ __forceinline__ int tile_column(int n) { return threadIdx.x / 64 * 64 + n * 8 + threadIdx.x % 4 * 2; }

__device__ __forceinline__ void tile_product(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_bf16_16816(c, a, b0, b1);
}
__device__ __forceinline__ void tile_product(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_s8_16832(c, a, b0, b1);
}

template <typename Sum> __device__ __forceinline__ void tile_mma(const TileFragments& f, Sum (&sums)[4][8][4]) {
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int n = 0; n < 8; ++n) tile_product(sums[m][n], f.a[m], f.b[n / 2][n % 2 * 2], f.b[n / 2][n % 2 * 2 + 1]);
}

// sums += A [128, depth] B [128, depth]ᵀ. All 128 threads; depth is a positive multiple of 32. On return the shared
// memory is free.
template <typename Sum>
__device__ __forceinline__ void tile_multiply(const TileOperand& a, const TileOperand& b, int depth, TileShared& s,
                                              Sum (&sums)[4][8][4]) {
    const TileSource from_a = tile_source(a), from_b = tile_source(b);
    const int steps = depth / TILE_K;
    for (int step = 0; step < TILE_STAGES - 1; ++step) {
        if (step < steps) {
            tile_copy(from_a, step * TILE_K, s.a[step]);
            tile_copy(from_b, step * TILE_K, s.b[step]);
        }
        cp_async_commit();      // also when empty: the wait below counts groups
    }
    cp_async_wait<TILE_STAGES - 2>();
    __syncthreads();

    TileFragments f[2];
    tile_fragments(s.a[0], s.b[0], 0, f[0]);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int now = step % TILE_STAGES, next = (step + 1) % TILE_STAGES, ahead = step + TILE_STAGES - 1;
        tile_fragments(s.a[now], s.b[now], 1, f[1]);
        if (ahead < steps) {    // into the stage of step - 1, which every warp left before the last barrier
            tile_copy(from_a, ahead * TILE_K, s.a[ahead % TILE_STAGES]);
            tile_copy(from_b, ahead * TILE_K, s.b[ahead % TILE_STAGES]);
        }
        cp_async_commit();
        tile_mma(f[0], sums);
        cp_async_wait<TILE_STAGES - 2>();
        __syncthreads();
        if (step + 1 < steps) tile_fragments(s.a[next], s.b[next], 0, f[0]);
        tile_mma(f[1], sums);
    }
    cp_async_wait<0>();
    __syncthreads();
}

// Block number -> tile of a [row_tiles, column_tiles] product. Blocks run down a group of `group_height` row tiles
// before the next column tile: the group's part of A (4,096 rows) stays in L2 while B streams past it once.
struct TilePosition { int row, column; };

__device__ __forceinline__ TilePosition tile_position(int block, int row_tiles, int column_tiles,
                                                      int group_height = 32) {
    int group = block / (group_height * column_tiles), within = block % (group_height * column_tiles);
    int height = min(group_height, row_tiles - group * group_height);
    return {(group * group_height + within % height), within / height};
}
