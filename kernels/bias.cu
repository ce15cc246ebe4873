// bias: the gradient and step of b_dec, and the global gradient norm.
#include "moments.cuh"

// Sum over parts of one column, by 32 threads that take every 32nd part each; all threads of the column get the sum.
// scratch: [32, 8].
__device__ __forceinline__ double sum_parts(const float* parts, int count, int width, double* scratch) {
    int column = threadIdx.x % 8, group = threadIdx.x / 8, c = blockIdx.x * 8 + column;
    double sum = 0;
#pragma unroll 8
    for (int i = group; i < count; i += 32) sum += parts[size_t(i) * width + c];
    __syncthreads();
    scratch[group * 8 + column] = sum;
    __syncthreads();
    sum = 0;
    for (int g = 0; g < 32; ++g) sum += scratch[g * 8 + column];
    return sum;
}

constexpr int bias_gradient_shared_bytes() { return 32 * 8 * sizeof(double); }

// bias_gradient: gradient = 2 loss_scale sum_b e - sum_f d<w, x>_f w_enc
//   launch  grid ld / 8, block 256, shared bias_gradient_shared_bytes(); float64
SAE_KERNEL(bias_gradient, BiasParams, 256) {
    auto scratch = &shared_memory<double>();
    double e = sum_parts(p.residual_parts, p.row_blocks, p.lo, scratch);
    double w = p.bias_parts && !p.rank_sums ? sum_parts(p.bias_parts, p.blocks, p.lo, scratch) : 0;
    for (int r = 0; p.rank_sums && r < p.ranks; ++r)
        w += p.rank_sums[size_t(r) * (p.lo + 1) + blockIdx.x * 8 + threadIdx.x % 8];
    if (threadIdx.x < 8)
        p.gradient[blockIdx.x * 8 + threadIdx.x] = learns(p.scalars->trainable, Trainable::DecoderBias)
            ? float(2.0 * p.scalars->loss_scale * e - w) : 0;
}

__device__ __forceinline__ void measure_norm(const BiasParams& p, double* scratch) {
    double squares = 0;
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x) squares += double(p.gradient[c]) * p.gradient[c];
    if (p.rank_sums)
        for (int r = threadIdx.x; r < p.ranks; r += blockDim.x) squares += p.rank_sums[size_t(r) * (p.lo + 1) + p.lo];
    else
        for (int i = threadIdx.x; i < p.blocks; i += blockDim.x) squares += p.norm_parts[i];
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) *p.norm = sqrt(squares + (p.skip_norm ? *p.skip_norm : 0));
}

// bias_norm: norm = sqrt(sum of all squared norms)
//   launch  grid 1, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(bias_norm, BiasParams, 256) {
    if (!p.scalars->abandoned) measure_norm(p, &shared_memory<double>());
}

// bias_clip: clip_factor = min(1, clip_norm / norm), or 1 where no norm is known; used only where a global factor
// applies
//   launch  grid 1, block 32
SAE_KERNEL(bias_clip, BiasParams, 32) {
    if (threadIdx.x != 0) return;
    double norm = *p.norm;
    *p.clip_factor = norm > p.scalars->clip_norm ? float(p.scalars->clip_norm / norm) : 1.0f;
}

// bias_move: norm, where it is not measured yet, and one step of b_dec
//   launch  grid 1, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(bias_move, BiasParams, 256) {
    auto scratch = &shared_memory<double>();
    const auto& s = *p.scalars;
    if (s.abandoned) return;
    float factor = p.clip_factor ? *p.clip_factor : 1;
    if (!p.measured) measure_norm(p, scratch);
    if (!learns(s.trainable, Trainable::DecoderBias)) return;
    if (p.clip_rows) {
        double squares = 0;
        for (int c = threadIdx.x; c < p.lo; c += blockDim.x) squares += double(p.gradient[c]) * p.gradient[c];
        double norm = sqrt(block_sum(squares, scratch));
        if (norm > s.clip_norm) factor = float(s.clip_norm / norm);
    }
    LatentVectorParams b{p.b_dec, p.m, p.v, p.ema};
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x)
        step_vector(b, size_t(c), p.gradient[c] * factor, 0, s, p.optimizer, true);
}
