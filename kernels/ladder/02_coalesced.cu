// Coalesced: the 32 lanes of a warp lie along K, so a load reads 64 neighbouring bytes of one row, not 2 bytes of each
// of 32 rows.
#include "../common.cuh"

constexpr int COALESCED_COLUMNS = 8;

// ladder_coalesced
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid B * ceil(n / 8), block 256; a warp an element
//   needs  ld % 32 == 0
//   order  a lane every 32nd of K, then a tree over the lanes
SAE_KERNEL(ladder_coalesced, LadderParams, 256) {
    const int row = blockIdx.x % p.rows, column = blockIdx.x / p.rows * COALESCED_COLUMNS + threadIdx.x / 32;
    if (column >= p.columns) return;
    const bf16_bits *x = p.x + int64_t(row) * p.ld, *w = p.w + int64_t(column) * p.ld;
    float sum = 0;
    for (int k = threadIdx.x % 32; k < p.ld; k += 32) sum = fmaf(bf16_to_float(x[k]), bf16_to_float(w[k]), sum);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) p.c[int64_t(row) * p.columns + column] = sum + p.bias[column];
}
