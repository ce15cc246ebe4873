// dense: the elementwise parts of the dense path. A chunk of W latents is computed for the whole batch in matrices [B,
// W]; product.cu multiplies.
#include "activation.cuh"

// dense_code
//   in      z [B, W] without the bias, latents of the chunk
//   out     code, and relu(pi) of Gated; counts and penalties of the row, added to those of earlier chunks
//   launch  grid B, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(dense_code, DenseCodeParams, 256) {
    auto scratch = &shared_memory<double>();
    const size_t row = blockIdx.x;
    const auto& s = *p.scalars;
    double active = 0, near = 0, now = 0, next = 0;
    for (int c = threadIdx.x; c < p.width; c += blockDim.x) {
        const LatentScalars l = p.latents[c];
        size_t at = row * p.stride + c;
        float z = p.z[at] + p.b_enc[c], value = activation_value(z, l, p.loss), f = value;
        p.code[at] = value;
        if (p.gate) p.gate[at] = f = z > 0 ? z : 0;
        if (value != 0) {
            active++;
            atomicAdd(p.firings + c, 1);
        }
        near += z > l.floor;
        if (p.loss.penalty == PenaltyCode::None || !(f > 0)) continue;
        now += penalty_value(f, l.omega, s.power, p.loss);
        if (p.loss.penalty == PenaltyCode::Lp) next += penalty_value(f, l.omega, s.next_power, p.loss);
    }
    active = block_sum(active, scratch);
    near = block_sum(near, scratch);
    now = block_sum(now, scratch);
    next = block_sum(next, scratch);
    if (threadIdx.x != 0) return;
    p.row_active[row] += int(active);
    p.row_near[row] += int(near);
    p.row_penalty[2 * row] += now;
    p.row_penalty[2 * row + 1] += next;
}

// dense_residual
//   in      xhat of each level without b_dec, y
//   out     for each level l the sum of w_m e_m over m >= l, in bf16 and with several levels in f32; e = xhat + b_dec -
//           y of the last level; sums by row
//   launch  grid B, block 256, shared block_sum_shared_bytes()
SAE_KERNEL(dense_residual, DenseResidualParams, 256) {
    auto scratch = &shared_memory<float>();
    const size_t row = blockIdx.x;
    float error = 0, level_error = 0, norm = 0, reconstruction = 0;
    for (int c = threadIdx.x; c < p.lo; c += blockDim.x) {
        const size_t at = row * p.lo + c, level_size = size_t(p.rows) * p.lo;
        float y = p.y[at], e = 0, suffix = 0;
#pragma unroll 1
        for (int m = p.levels - 1; m >= 0; --m) {
            float level_e = p.xhat[m * level_size + at] + p.b_dec[c] - y;
            if (m == p.levels - 1) e = level_e;
            level_error += p.level_weight[m] * level_e * level_e;
            suffix += p.level_weight[m] * level_e;
            if (p.weighted) p.weighted[m * level_size + at] = suffix;
            p.residual_bf16[m * level_size + at] = float_to_bf16(suffix);
        }
        p.residual[at] = e;
        error += e * e;
        norm += y * y;
        reconstruction += (e + y) * (e + y);
    }
    error = block_sum(error, scratch);
    level_error = block_sum(level_error, scratch);
    norm = block_sum(norm, scratch);
    reconstruction = block_sum(reconstruction, scratch);
    if (threadIdx.x != 0) return;
    p.row_error[row] = error;
    if (p.row_level_error) p.row_level_error[row] = level_error;
    if (p.row_norm) p.row_norm[row] = norm;
    if (p.row_reconstruction) p.row_reconstruction[row] = reconstruction;
}

// A block has 16 latents by 32 lanes of rows. Each lane sums the fields separately.
constexpr int GRADIENT_LATENTS = 16, GRADIENT_LANES = 32, GRADIENT_FIELDS = 8;
static_assert(sizeof(EntryGradient) == (GRADIENT_FIELDS - 1) * sizeof(float));
struct GradientShared {
    float sum[GRADIENT_FIELDS][GRADIENT_LANES][GRADIENT_LATENTS];      // the seven of EntryGradient, then the gap
    int above[GRADIENT_LANES][GRADIENT_LATENTS];
};
constexpr int dense_gradient_shared_bytes() { return sizeof(GradientShared); }

__device__ __forceinline__ void add_gradient(EntryGradient& sum, const EntryGradient& g) {
    sum.input += g.input;
    sum.bias += g.bias;
    sum.norm += g.norm;
    sum.threshold += g.threshold;
    sum.mag += g.mag;
    sum.scale += g.scale;
}

// One thread for a field and latent; lanes ascending.
__device__ __forceinline__ void sum_lanes(const DenseGradientParams& p, const GradientShared& shared) {
    const int latent = threadIdx.x % GRADIENT_LATENTS, field = threadIdx.x / GRADIENT_LATENTS;
    const int c = blockIdx.x * GRADIENT_LATENTS + latent;
    if (c >= p.width || field > GRADIENT_FIELDS) return;
    if (field == GRADIENT_FIELDS) {
        int above = 0;
        for (int lane = 0; lane < GRADIENT_LANES; ++lane) above += shared.above[lane][latent];
        p.above[c] = above;
        return;
    }
    float sum = 0;
    for (int lane = 0; lane < GRADIENT_LANES; ++lane) sum += shared.sum[field][lane][latent];
    if (field == GRADIENT_FIELDS - 1) p.above_gap[c] = sum;
    else reinterpret_cast<float*>(p.sums + c)[field] = sum;
}

// dense_gradient
//   in      z and <w_dec, E> [B, W] of the chunk
//   out     2c code, gradient by <w, x - b_dec>, 2c relu(pi), in place; sums over the batch of all others, by latent
//   launch  grid ceil(W / 16), block 512, shared sizeof(GradientShared) = 18432
//   order   rows of one remainder by 32 ascending, then remainders ascending
SAE_KERNEL(dense_gradient, DenseGradientParams, 512) {
    auto& shared = shared_memory<GradientShared>();
    const auto& s = *p.scalars;
    const float scale = 2 * s.loss_scale;
    const int latent = threadIdx.x % GRADIENT_LATENTS, lane = threadIdx.x / GRADIENT_LATENTS;
    const int c = blockIdx.x * GRADIENT_LATENTS + latent;
    EntryGradient sum = {};
    int above = 0;
    float gap = 0;
    for (int row = lane; row < p.rows && c < p.width; row += GRADIENT_LANES) {
        const LatentScalars l = p.latents[c];
        size_t at = size_t(row) * p.stride + c;
        float z = p.z[at] + p.b_enc[c], value = activation_value(z, l, p.loss);
        EntryGradient g = entry_gradient(z, value, scale * p.grad[at], p.gate ? scale * p.gate[at] : 0, l, s,
                                         *p.step_penalty, p.loss);
        add_gradient(sum, g);
        p.z[at] = scale * value;
        p.grad[at] = g.input;
        if (p.gate) p.gate[at] = z > 0 ? scale * z : 0;
        if (z >= l.theta) {
            above++;
            gap += l.theta - z;
        }
    }
    const float fields[GRADIENT_FIELDS] =
        {sum.input, sum.bias, sum.norm, sum.threshold, sum.mag, sum.scale, sum.base, gap};
#pragma unroll
    for (int field = 0; field < GRADIENT_FIELDS; ++field) shared.sum[field][lane][latent] = fields[field];
    shared.above[lane][latent] = above;
    __syncthreads();
    sum_lanes(p, shared);
}
