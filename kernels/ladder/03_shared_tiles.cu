// Shared-memory tiles: 32 rows of both operands are staged in shared memory, so each element that is read serves 32
// products, not one.
#include "../common.cuh"

constexpr int SHARED_TILE = 32;

struct SharedTiles {
    float x[SHARED_TILE][SHARED_TILE + 1];      // one more, so that a column's 32 rows lie in 32 banks
    float w[SHARED_TILE][SHARED_TILE + 1];
};
constexpr int ladder_shared_tiles_shared_bytes() { return sizeof(SharedTiles); }

// ladder_shared_tiles
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 32) * ceil(n / 32), block 1024, shared sizeof(SharedTiles) = 8448; a thread an element
//   needs  ld % 32 == 0
//   order  K ascending, one fused multiply-add an element
SAE_KERNEL(ladder_shared_tiles, LadderParams, 1024) {
    auto& s = shared_memory<SharedTiles>();
    const int row_tiles = (p.rows + SHARED_TILE - 1) / SHARED_TILE, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int row_begin = blockIdx.x % row_tiles * SHARED_TILE, column_begin = blockIdx.x / row_tiles * SHARED_TILE;
    float sum = 0;
    for (int k = 0; k < p.ld; k += SHARED_TILE) {
        const int row = row_begin + warp, column = column_begin + warp;
        s.x[warp][lane] = row < p.rows ? bf16_to_float(p.x[int64_t(row) * p.ld + k + lane]) : 0;
        s.w[warp][lane] = column < p.columns ? bf16_to_float(p.w[int64_t(column) * p.ld + k + lane]) : 0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < SHARED_TILE; ++i) sum = fmaf(s.x[warp][i], s.w[lane][i], sum);
        __syncthreads();
    }
    const int row = row_begin + warp, column = column_begin + lane;
    if (row < p.rows && column < p.columns) p.c[int64_t(row) * p.columns + column] = sum + p.bias[column];
}
