// product: a dense product of any layout, for the dense path and for the losses of dead latents. Extents may be known on the device only: blocks beyond them return.
#include "common.cuh"

constexpr int PRODUCT_TILE = 64, PRODUCT_DEPTH = 16;
struct ProductShared { float a[PRODUCT_DEPTH][PRODUCT_TILE + 4], b[PRODUCT_DEPTH][PRODUCT_TILE + 4]; };

__device__ __forceinline__ float operand(const void* p, int64_t at, int bf16) {
    return bf16 ? bf16_to_float(static_cast<const bf16_bits*>(p)[at]) : static_cast<const float*>(p)[at];
}

// product
//   in      A [m, k], B [k, n] of any strides, f32 or bf16, B's rows through a list where it gathers weights
//   out     C = scale mask(A B + add); add may be C itself
//   launch  grid ceil(n / 64) x ceil(m / 64), block 256: 4 x 4 sums a thread; shared 8704 bytes
//   order   k ascending
SAE_KERNEL(product, ProductParams, 256) {
    auto& s = shared_memory<ProductShared>();
    int m = p.m_count ? *p.m_count : p.m, n = p.n_count ? *p.n_count : p.n, k = p.k_count ? *p.k_count : p.k;
    int row0 = blockIdx.y * PRODUCT_TILE, column0 = blockIdx.x * PRODUCT_TILE;
    if (row0 >= m || column0 >= n) return;
    float sum[4][4] = {};
    int tr = threadIdx.x / 16 * 4, tc = threadIdx.x % 16 * 4;
    for (int k0 = 0; k0 < k; k0 += PRODUCT_DEPTH) {
        for (int t = threadIdx.x; t < PRODUCT_DEPTH * PRODUCT_TILE; t += blockDim.x) {
            // Neighbouring threads read neighbouring elements whichever way the operand lies.
            int i = p.a_k == 1 ? t / PRODUCT_DEPTH : t % PRODUCT_TILE, kk = p.a_k == 1 ? t % PRODUCT_DEPTH : t / PRODUCT_TILE;
            bool inside = row0 + i < m && k0 + kk < k;
            s.a[kk][i] = inside ? operand(p.a, (row0 + i) * p.a_m + (k0 + kk) * p.a_k, p.a_bf16) : 0;
            int j = p.b_k == 1 ? t / PRODUCT_DEPTH : t % PRODUCT_TILE, kb = p.b_k == 1 ? t % PRODUCT_DEPTH : t / PRODUCT_TILE;
            inside = column0 + j < n && k0 + kb < k;
            int64_t bk = k0 + kb, bn = column0 + j;
            if (inside && p.b_gather == 1) bk = p.b_rows[bk];
            if (inside && p.b_gather == 2) bn = p.b_rows[bn];
            s.b[kb][j] = inside ? operand(p.b, bk * p.b_k + bn * p.b_n, p.b_bf16) : 0;
        }
        __syncthreads();
        for (int kk = 0; kk < PRODUCT_DEPTH; ++kk)
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(s.a[kk][tr + i], s.b[kk][tc + j], sum[i][j]);
        __syncthreads();
    }
    float scale = p.scale ? *p.scale : 1;
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            if (row0 + tr + i >= m || column0 + tc + j >= n) continue;
            size_t at = size_t(row0 + tr + i) * p.c_pitch + column0 + tc + j;
            float v = sum[i][j] + (p.add ? p.add[at] : 0);
            if (p.mask && p.mask_factor) v *= p.mask[at];
            p.c[at] = p.mask && p.mask[at] == 0 ? 0 : scale * v;
        }
}
