// latent_scalars: the numbers of each latent in a step, besides its rows: decoder norm, threshold, bandwidth, gate.
#include "activation.cuh"

__device__ __forceinline__ float joined(const bf16_bits* hi, const int16_t* lo, size_t at) {
    return lo ? join_float(hi[at], lo[at]) : bf16_to_float(hi[at]);
}

// Sum over sites of the norm of row f's columns in the site, the same on every lane of the warp.
__device__ __forceinline__ float site_norms(const LatentScalarsParams& p, int f) {
    int lane = threadIdx.x % 32, first = 0;
    float sum = 0;
    for (int site = 0; site < p.sites; ++site) {
        float squares = 0;
        for (int c = first + lane; c < first + p.site_width[site]; c += 32) {
            float w = joined(p.w_dec_hi, p.w_dec_lo, size_t(f) * p.lo + c);
            squares += w * w;
        }
        sum += sqrtf(warp_sum(squares));
        first += p.site_width[site];
    }
    return sum;
}

// latent_spread: running mean and variance of z over the first rows of a batch, spread_z [rows, n] without the bias
//   launch  grid any, block 256
SAE_KERNEL(latent_spread, LatentScalarsParams, 256) {
    if (p.scalars->inference) return;
    float keep = p.scalars->step == 1 ? 0 : 0.99f;
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < p.count; f += gridDim.x * blockDim.x) {
        const float first = p.spread_z[f], own = first + p.b_enc[f];
        float sum = 0, squares = 0;
        for (int row = 1; row < p.spread_rows; ++row)
            sum += (p.spread_z[size_t(row) * p.count + f] - first) / p.spread_rows;
        for (int row = 0; row < p.spread_rows; ++row) {
            const float z = p.spread_z[size_t(row) * p.count + f] - first - sum;
            squares += z * z / p.spread_rows;
        }
        const float away = own + sum - p.spread_mean[f];
        p.spread_mean[f] += (1 - keep) * away;
        p.spread_variance[f] = keep * (p.spread_variance[f] + (1 - keep) * away * away) + (1 - keep) * squares;
    }
}

// latent_scalars
//   in      w_dec, threshold, gate and spread of each latent
//   out     latents [n]
//   launch  grid any, block 256: a warp a latent
//   cost    reads w_dec once where norms are needed
SAE_KERNEL(latent_scalars, LatentScalarsParams, 256) {
    const auto& s = *p.scalars;
    int warps = gridDim.x * (blockDim.x / 32);
    for (int f = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; f < p.count; f += warps) {
        LatentScalars l = {};
        l.omega = 1;
        const bool weighted = p.loss.weight != PenaltyWeight::One;
        if (weighted || p.loss.pre_act != PreActCode::None) l.norm = site_norms(p, f);
        if (weighted) l.omega = l.norm;
        if (p.loss.selection == SelectionCode::Gated) {
            l.exp_r = expf(p.r_mag[f]);
            l.gate = p.b_enc[f];
            l.mag = p.b_mag[f];
        }
        if (p.loss.selection == SelectionCode::JumpRelu) {
            l.theta = p.loss.form == ThresholdForm::Direct ? p.threshold[f] : expf(p.threshold[f]);
            l.epsilon = p.loss.bandwidth;
            if (p.loss.adaptive) l.epsilon *= sqrtf(fmaxf(1e-12f, p.spread_variance[f]));
            l.floor = l.theta - p.loss.reach * l.epsilon;
            bool applies = p.loss.pre_act == PreActCode::All
                || (p.loss.pre_act == PreActCode::Dead
                    && s.step - 1 - uint32_t(p.last_fired[f]) >= s.dead_after_steps);
            if (applies) l.pre_act = s.pre_act;
        }
        if (threadIdx.x % 32 == 0) p.latents[f] = l;
    }
}
