// aux: AuxK as dense products on the compacted window of dead latents (Gao et al. 2024, arXiv 2406.04093).
// The window's length is known on the device only: blocks beyond it return.
#include "common.cuh"

// aux_scatter        code [B, window] = the selected pre-activations, zeros elsewhere                     grid B, block 256
SAE_KERNEL(aux_scatter, AuxParams, 256) {
    size_t row = blockIdx.x;
    for (int s = threadIdx.x; s < p.window; s += blockDim.x) p.code[row * p.window + s] = 0;
    __syncthreads();
    for (int j = threadIdx.x; j < p.active; j += blockDim.x) {
        int slot = p.index[row * p.active + j];
        float c = p.value[row * p.active + j];
        if (slot >= 0 && c == c) p.code[row * p.window + slot] = c;
    }
}

constexpr int PRODUCT_TILE = 64, PRODUCT_DEPTH = 16;
struct ProductShared { float a[PRODUCT_DEPTH][PRODUCT_TILE + 4], b[PRODUCT_DEPTH][PRODUCT_TILE + 4]; };

__device__ __forceinline__ float operand(const void* p, int64_t at, int bf16) {
    return bf16 ? bf16_to_float(static_cast<const bf16_bits*>(p)[at]) : static_cast<const float*>(p)[at];
}

// aux_product
//   in      A [m, k], B [k, n] of any strides, f32 or bf16, B's rows through a list where it gathers weights
//   out     C = scale mask(A B + add)
//   launch  grid ceil(n / 64) x ceil(m / 64), block 256: 4 x 4 sums a thread; shared 8704 bytes
//   order   k ascending
SAE_KERNEL(aux_product, AuxProductParams, 256) {
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
            p.c[at] = p.mask && p.mask[at] == 0 ? 0 : scale * v;
        }
}

// aux_row_error      |r|^2 by row                                                 grid B, block 256, shared 64 bytes
SAE_KERNEL(aux_row_error, AuxParams, 256) {
    auto scratch = &shared_memory<float>();
    float error = 0;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        float r = p.residual[size_t(blockIdx.x) * p.pitch + c];
        error += r * r;
    }
    error = block_sum(error, scratch);
    if (threadIdx.x == 0) p.row_aux_error[blockIdx.x] = error;
}

// aux_scale          sums = {sum |r|^2, sum |e - mean e|^2}, scale = 2 alpha min(dead / k_aux, 1) / variance      grid 1, block 256, shared 64 bytes
SAE_KERNEL(aux_scale, AuxParams, 256) {
    auto scratch = &shared_memory<double>();
    double error = 0, variance = 0;
    bool any = *p.aux_count > 0;
    for (int row = threadIdx.x; row < p.rows; row += blockDim.x) {
        variance += p.row_error[row];
        if (any) error += p.row_aux_error[row];
    }
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        double sum = 0;
        for (int i = 0; i < p.row_blocks; ++i) sum += p.residual_parts[size_t(i) * p.pitch + c];
        variance -= sum * sum / p.rows;
    }
    error = block_sum(error, scratch);
    variance = block_sum(variance, scratch);
    if (threadIdx.x != 0) return;
    variance = variance > 0 ? variance : 0;
    p.sums[0] = error;
    p.sums[1] = variance;
    double share = double(*p.dead_count) / p.active;
    *p.scale = variance > 0 ? float(2.0 * p.scalars->aux_coefficient * (share < 1 ? share : 1) / variance) : 0;
}

// aux_bias           bias_grad[s] = scale sum_b code_grad[b, s]                   grid ceil(window / 256), block 256
SAE_KERNEL(aux_bias, AuxParams, 256) {
    int s = blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= *p.aux_count) return;
    float sum = 0;
    for (int row = 0; row < p.rows; ++row) sum += p.code_grad[size_t(row) * p.window + s];
    p.bias_grad[s] = *p.scale * sum;
}
