// Naive: a thread computes one element of C from global memory. The 32 rows of a warp are 32 different cache lines for
// every product.
#include "../common.cuh"

constexpr int NAIVE_ROWS = 32, NAIVE_COLUMNS = 8;

// ladder_naive
//   in     x [B, ld] bf16, w [n, ld] bf16, bias [n] f32
//   out    c [B, n] f32
//   launch grid ceil(B / 32) * ceil(n / 8), block 256
//   order  K ascending, one fused multiply-add an element
SAE_KERNEL(ladder_naive, LadderParams, 256) {
    const int row_tiles = (p.rows + NAIVE_ROWS - 1) / NAIVE_ROWS;
    const int row = blockIdx.x % row_tiles * NAIVE_ROWS + threadIdx.x % 32;
    const int column = blockIdx.x / row_tiles * NAIVE_COLUMNS + threadIdx.x / 32;
    if (row >= p.rows || column >= p.columns) return;
    const bf16_bits *x = p.x + int64_t(row) * p.ld, *w = p.w + int64_t(column) * p.ld;
    float sum = 0;
    for (int k = 0; k < p.ld; ++k) sum = fmaf(bf16_to_float(x[k]), bf16_to_float(w[k]), sum);
    p.c[int64_t(row) * p.columns + column] = sum + p.bias[column];
}
