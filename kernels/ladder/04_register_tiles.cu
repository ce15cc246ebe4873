// Register tiles: a thread owns 8 x 8 elements of a 128 x 128 tile, so 16 reads of shared memory serve 64 products;
// before, 2 reads served one.
#include "ladder.cuh"

constexpr int REGISTER_K = 16;

struct RegisterTiles {
    float x[REGISTER_K][LADDER_TILE + 1];       // K first: the rows of a step are neighbours
    float w[REGISTER_K][LADDER_TILE + 1];
};
constexpr int ladder_register_tiles_shared_bytes() { return sizeof(RegisterTiles); }

// ladder_register_tiles
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 128) * ceil(n / 128), block 256, shared sizeof(RegisterTiles) = 16512
//   needs  ld % 16 == 0
//   order  K ascending, one fused multiply-add an element
SAE_KERNEL(ladder_register_tiles, LadderParams, LADDER_THREADS) {
    auto& s = shared_memory<RegisterTiles>();
    const LadderTile at = ladder_tile(p);
    const int x_thread = threadIdx.x / 16, w_thread = threadIdx.x % 16;     // a thread owns rows and columns 16 apart
    float sums[8][8] = {};
    for (int k = 0; k < p.ld; k += REGISTER_K) {
        for (int i = threadIdx.x; i < LADDER_TILE * REGISTER_K; i += LADDER_THREADS) {
            const int r = i / REGISTER_K, step = i % REGISTER_K, row = at.row + r, column = at.column + r;
            s.x[step][r] = row < p.rows ? bf16_to_float(p.x[int64_t(row) * p.ld + k + step]) : 0;
            s.w[step][r] = column < p.columns ? bf16_to_float(p.w[int64_t(column) * p.ld + k + step]) : 0;
        }
        __syncthreads();
#pragma unroll 4
        for (int step = 0; step < REGISTER_K; ++step) {
            float x[8], w[8];
#pragma unroll
            for (int i = 0; i < 8; ++i) x[i] = s.x[step][x_thread + 16 * i], w[i] = s.w[step][w_thread + 16 * i];
#pragma unroll
            for (int i = 0; i < 8; ++i)
#pragma unroll
                for (int j = 0; j < 8; ++j) sums[i][j] = fmaf(x[i], w[j], sums[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j)
            ladder_store(p, at.row + x_thread + 16 * i, at.column + w_thread + 16 * j, sums[i][j]);
}
