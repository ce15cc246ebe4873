// skip: the skip connection of a transcoder, WSkip [D, ld] in float32.
#include "moments.cuh"

// skip_norm: norm_parts [D] = squared norms of the gradient's rows; frozen rows become 0
//   launch  grid D, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(skip_norm, SkipParams, 256) {
    auto scratch = &shared_memory<double>();
    size_t row = size_t(blockIdx.x) * p.ld;
    const bool moves = learns(p.scalars->trainable, Trainable::Skip);
    double squares = 0;
    for (int c = threadIdx.x; c < p.ld; c += blockDim.x) {
        float g = p.gradient[row + c] *= moves ? 2 * p.scalars->loss_scale : 0;
        squares += double(g) * g;
    }
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) p.norm_parts[blockIdx.x] = squares;
}

// skip_sum: norm = their sum
//   launch  grid 1, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(skip_sum, SkipParams, 256) {
    auto scratch = &shared_memory<double>();
    double squares = 0;
    for (int row = threadIdx.x; row < p.rows; row += blockDim.x) squares += p.norm_parts[row];
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) *p.norm = squares;
}

// skip_move: one step of WSkip; float32 and bfloat16 moments
//   launch  grid D, block 256
SAE_KERNEL(skip_move, SkipParams, 256) {
    const auto& s = *p.scalars;
    if (s.abandoned || !learns(s.trainable, Trainable::Skip)) return;
    size_t row = blockIdx.x;
    float factor = p.clip_rows && *p.norm > double(s.clip_norm) * s.clip_norm
        ? float(s.clip_norm / sqrt(*p.norm)) : p.clip_factor ? *p.clip_factor : 1;
    for (int c = threadIdx.x; c < p.ld; c += blockDim.x) {
        size_t at = row * p.ld + c;
        Moments x = load_moments(p.moments, row, at);
        p.w_skip[at] = step_number(decayed(p.w_skip[at], s), p.gradient[at] * factor, x, 0, s, p.optimizer);
        store_moments(p.moments, s, row, at, c, x);
    }
}
