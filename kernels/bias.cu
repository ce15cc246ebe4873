// bias: b_dec's gradient and step, and the global gradient norm.
#include "moments.cuh"

constexpr uint32_t LEARNS_DECODER_BIAS = 8;

// bias_gradient      gradient = 2 loss_scale sum_b e - sum_f d<w, x>_f w_enc      grid any, block 256; parts added in order, float64
SAE_KERNEL(bias_gradient, BiasParams, 256) {
    double scale = 2.0 * p.scalars->loss_scale;
    bool learns = p.scalars->trainable & LEARNS_DECODER_BIAS;
    for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < p.pitch; c += gridDim.x * blockDim.x) {
        double e = 0, w = 0;
        for (int i = 0; i < p.row_blocks; ++i) e += p.residual_parts[size_t(i) * p.pitch + c];
        for (int i = 0; p.bias_parts && i < p.blocks; ++i) w += p.bias_parts[size_t(i) * p.pitch + c];
        p.gradient[c] = learns ? float(scale * e - w) : 0;
    }
}

// bias_norm          norm = sqrt(sum of all squared norms)                        grid 1, block 256, shared 64 bytes
SAE_KERNEL(bias_norm, BiasParams, 256) {
    auto scratch = &shared_memory<double>();
    double squares = 0;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) squares += double(p.gradient[c]) * p.gradient[c];
    for (int i = threadIdx.x; i < p.blocks; i += blockDim.x) squares += p.norm_parts[i];
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) *p.norm = sqrt(squares + (p.skip_norm ? *p.skip_norm : 0));
}

// bias_clip          clip_factor = min(1, clip_norm / norm), 1 where no global factor applies or no norm is known      grid 1, block 32
SAE_KERNEL(bias_clip, BiasParams, 32) {
    if (threadIdx.x != 0) return;
    double norm = *p.norm;
    *p.clip_factor = p.clip && norm > p.scalars->clip_norm ? float(p.scalars->clip_norm / norm) : 1.0f;
}

// bias_move          one step of b_dec                                            grid 1, block 256, shared 64 bytes
SAE_KERNEL(bias_move, BiasParams, 256) {
    auto scratch = &shared_memory<double>();
    const auto& s = *p.scalars;
    if (!(s.trainable & LEARNS_DECODER_BIAS)) return;
    float factor = *p.clip_factor;
    if (p.clip_rows) {
        double squares = 0;
        for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) squares += double(p.gradient[c]) * p.gradient[c];
        double norm = sqrt(block_sum(squares, scratch));
        if (norm > s.clip_norm) factor = float(s.clip_norm / norm);
    }
    LatentVectorParams b{p.b_dec, p.m, p.v, p.ema};
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) step_vector(b, size_t(c), p.gradient[c] * factor, 0, s, p.optimizer, true);
}
