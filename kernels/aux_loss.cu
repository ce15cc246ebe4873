// aux: the auxiliary losses AuxK (Gao et al. 2024, arXiv 2406.04093) and ghost gradients (Anthropic, January 2024),
// around the dense products on the compacted window of dead latents. The length of the window is known on the device
// only.
#include "spread.cuh"
#include "ticket.cuh"

// aux_scatter: code [B, window] = the selected pre-activations, zeros elsewhere
//   launch  grid B, block 256
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

// aux_row_error: |r|^2 by row
//   launch  grid B, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(aux_row_error, AuxParams, 256) {
    auto scratch = &shared_memory<float>();
    float error = 0;
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x) {
        float r = p.residual[size_t(blockIdx.x) * p.lo + c];
        error += r * r;
    }
    error = block_sum(error, scratch);
    if (threadIdx.x == 0) p.row_aux_error[blockIdx.x] = error;
}

// aux_scale: sums = {sum |r|^2, sum |e - mean e|^2}, scale = 2 alpha min(dead / k_aux, 1) / variance
//   launch  grid any, block 256, shared block_sum_shared_bytes()
//   order   rows and columns by thread, then by warp tree, then by block; float64
//   note    the variance is a difference of sums where that agrees with the spread about the mean to 1e-4, else it is
//           the spread: docs/internals/decisions/0010-sums-about-a-mean.md
SAE_KERNEL(aux_scale, AuxParams, 256) {
    auto scratch = &shared_memory<double>();
    double error = 0, variance = 0, spread = 0;
    const bool any = *p.aux_total > 0;
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int row = thread; row < p.rows; row += threads) {
        variance += p.row_error[row];
        if (any) error += p.row_aux_error[row];
    }
    for (int c = thread; c < p.lo; c += threads) {
        double sum = 0;
#pragma unroll 8
        for (int i = 0; i < p.row_blocks; ++i) sum += p.residual_parts[size_t(i) * p.lo + c];
        variance -= sum * sum / p.rows;
        spread += spread_of_column(p.means, p.spreads, p.rows, p.lo, c);
    }
    error = block_sum(error, scratch);
    variance = block_sum(variance, scratch);
    spread = block_sum(spread, scratch);
    if (threadIdx.x == 0) {
        p.parts[3 * blockIdx.x] = error;
        p.parts[3 * blockIdx.x + 1] = variance;
        p.parts[3 * blockIdx.x + 2] = spread;
    }
    if (!last_block(p.ticket, reinterpret_cast<uint32_t*>(scratch)) || threadIdx.x != 0) return;
    error = variance = spread = 0;
    for (int block = 0; block < int(gridDim.x); ++block) {
        error += static_cast<volatile double*>(p.parts)[3 * block];
        variance += static_cast<volatile double*>(p.parts)[3 * block + 1];
        spread += static_cast<volatile double*>(p.parts)[3 * block + 2];
    }
    if (!(fabs(variance - spread) <= 1e-4 * spread)) variance = spread;
    p.sums[0] = error;
    p.sums[1] = variance;
    double share = double(*p.dead_count) / p.k;
    *p.scale = variance > 0 ? float(2.0 * p.scalars->aux_coefficient * (share < 1 ? share : 1) / variance) : 0;
}

// aux_bias
//   out     bias_grad[s] = scale sum_b code_grad[b, s]
//   launch  grid ceil(window / 16), block 512: 16 slots by 32 lanes of rows; shared aux_bias_shared_bytes()
//   order   rows of one remainder by 32 ascending, then remainders ascending
struct AuxBiasShared { float sum[32][16]; };
constexpr int aux_bias_shared_bytes() { return sizeof(AuxBiasShared); }
SAE_KERNEL(aux_bias, AuxParams, 512) {
    auto& shared = shared_memory<AuxBiasShared>();
    const int window = *p.aux_count, first = blockIdx.x * 16, slot = threadIdx.x % 16, lane = threadIdx.x / 16;
    const int s = first + slot;
    if (first >= window) return;
    float sum = 0;
    for (int row = lane; row < p.rows && s < window; row += 32) sum += p.code_grad[size_t(row) * p.window + s];
    shared.sum[lane][slot] = sum;
    __syncthreads();
    if (lane != 0 || s >= window) return;
    sum = 0;
    for (int i = 0; i < 32; ++i) sum += shared.sum[i][slot];
    p.bias_grad[s] = *p.scale * sum;
}

// ghost_code: code [B, window] = e to the pre-activations, which come without the bias
//   launch  grid B, block 256
SAE_KERNEL(ghost_code, AuxParams, 256) {
    size_t row = blockIdx.x;
    int window = *p.aux_count;
    for (int s = threadIdx.x; s < p.window; s += blockDim.x)
        p.code[row * p.window + s] = s < window ? expf(p.code[row * p.window + s] + p.b_enc[p.aux_rows[s]]) : 0;
}

// ghost_scale
//   in      residual = sum of ghosts g [B, lo], error e
//   out     r = q (s g + e), where s g has half of e's norm and q is |e|^2 over |s g + e|^2; the code is multiplied by
//           s; row_aux_error = q |s g + e|^2
//   launch  grid B, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(ghost_scale, AuxParams, 256) {
    auto scratch = &shared_memory<float>();
    size_t row = blockIdx.x;
    float* r = p.residual + row * p.lo;
    const float* e = p.error + row * p.lo;
    float norm = 0, ghost = 0;
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x) norm += r[c] * r[c];
    norm = block_sum(norm, scratch);
    float error = p.row_error[row], scale = sqrtf(error) / (2 * sqrtf(norm) + 1e-6f);
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x) {
        float v = scale * r[c] + e[c];
        ghost += v * v;
        r[c] = v;
    }
    ghost = block_sum(ghost, scratch);
    float share = error / (ghost + 1e-6f);
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x) r[c] *= share;
    for (int s = threadIdx.x; s < *p.aux_count; s += blockDim.x) p.code[row * p.window + s] *= scale;
    if (threadIdx.x == 0) p.row_aux_error[row] = share * ghost;
}

// ghost_sums: sums[0] = the ghost loss, scale = 2 loss_scale
//   launch  grid 1, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(ghost_sums, AuxParams, 256) {
    auto scratch = &shared_memory<double>();
    double loss = 0;
    if (*p.aux_total > 0)
        for (int row = threadIdx.x; row < p.rows; row += blockDim.x) loss += p.row_aux_error[row];
    loss = block_sum(loss, scratch);
    if (threadIdx.x != 0) return;
    p.sums[0] = loss;
    *p.scale = 2 * p.scalars->loss_scale;
}
