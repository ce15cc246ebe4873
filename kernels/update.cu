// update: per latent, the gradients of both rows and the bias, projection, clip, Adam, renormalisation and the low-precision operand,
// in one visit. Gradients are never written to memory.
#include "common.cuh"

constexpr int UPDATE_PART = 256;    // entries of a part: index.cu's LONG_RUN

struct Gradient { float dec[8], enc[8], bias; };

__device__ __forceinline__ void add_bf16x8(float (&sum)[8], float s, const bf16_bits* row) {
    uint4 v = *reinterpret_cast<const uint4*>(row);
    const uint32_t pairs[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 4; ++i) {
        sum[2 * i] = fmaf(s, __uint_as_float(pairs[i] << 16), sum[2 * i]);
        sum[2 * i + 1] = fmaf(s, __uint_as_float(pairs[i] & 0xffff0000u), sum[2 * i + 1]);
    }
}

// Sums entries [first, last) over eight columns, in order.
__device__ __forceinline__ void sum_entries(const UpdateParams& p, uint32_t first, uint32_t last, int column, float scale, Gradient& g) {
    for (uint32_t at = first; at < last; ++at) {
        uint32_t e = p.entry[at];
        size_t row = size_t(e / p.active) * p.pitch + column;
        float delta = p.value_grad[e];
        add_bf16x8(g.dec, scale * p.value[e], p.residual + row);
        add_bf16x8(g.enc, delta, p.x_centered + row);
        g.bias += delta;
    }
}

// update_parts
//   in      runs longer than 256 entries, cut every 256
//   out     parts [parts, 2, ld] and parts_bias: their sums
//   launch  grid any, block any; parts are counted on the device
SAE_KERNEL(update_parts, UpdateParams, 256) {
    uint32_t total = uint32_t(p.start[p.latents] >> 32);
    float scale = 2 * p.scalars->loss_scale;
    for (uint32_t part = blockIdx.x; part < total; part += gridDim.x) {
        int low = 0, high = p.latents - 1;                  // the last latent whose parts start at or before this one
        while (low < high) {
            int middle = (low + high + 1) / 2;
            if (uint32_t(p.start[middle] >> 32) <= part) low = middle; else high = middle - 1;
        }
        uint32_t first = uint32_t(p.start[low]) + (part - uint32_t(p.start[low] >> 32)) * UPDATE_PART;
        uint32_t last = min(first + UPDATE_PART, uint32_t(p.start[low + 1]));
        for (int column = threadIdx.x * 8; column < p.pitch; column += blockDim.x * 8) {
            Gradient g = {};
            sum_entries(p, first, last, column, scale, g);
            float* to = p.parts + size_t(part) * 2 * p.pitch + column;
            for (int i = 0; i < 8; ++i) {
                to[i] = g.dec[i];
                to[p.pitch + i] = g.enc[i];
            }
            if (column == 0) p.parts_bias[part] = g.bias;
        }
    }
}

__device__ __forceinline__ float load_weight(const bf16_bits* hi, const int16_t* lo, size_t at) { return lo ? join_float(hi[at], lo[at]) : bf16_to_float(hi[at]); }

// bfloat16 alone is rounded up with the probability of what is cut off, so that small steps are not lost.
__device__ __forceinline__ void store_weight(bf16_bits* hi, int16_t* lo, size_t at, float w, const StepScalars& s, uint64_t row, uint64_t column) {
    if (lo) { split_float(w, hi[at], lo[at]); return; }
    uint32_t u = __float_as_uint(w);
    if ((u & 0x7f800000u) != 0x7f800000u) u += uint32_t(counter_random(s.seed, s.step, row, column)) & 0xffff;
    hi[at] = bf16_bits(u >> 16);
}

// One Adam or descent step of a number; `decay` is what v missed while its row was idle.
__device__ __forceinline__ float move(float w, float g, float* m, float* v, size_t at, int idle, const StepScalars& s, int adam) {
    if (!adam) return w - s.learning_rate * g;
    float mi = g, vi = v[at];
    if (m) {
        mi = m[at] * s.beta1 + g * (1 - s.beta1);
        m[at] = mi;
    }
    for (; idle > 0; --idle) vi *= s.beta2;                 // as dense Adam would have, one step after the other
    vi = vi * s.beta2 + g * g * (1 - s.beta2);
    v[at] = vi;
    if (mi == 0) return w;
    return w - s.learning_rate * s.correction1 * mi / (sqrtf(vi * s.correction2) + s.epsilon);
}

struct UpdateLatent {
    uint32_t first, last;
    int slot;
    bool touched;
};

// Gradients of all columns into shared memory; returns the bias gradient, the same on every thread.
__device__ __forceinline__ float gather(const UpdateParams& p, int f, const UpdateLatent& u, float scale, float* dec, float* enc) {
    float bias = 0;
    for (int column = threadIdx.x * 8; column < p.pitch || column == int(threadIdx.x) * 8; column += blockDim.x * 8) {
        Gradient g = {};
        bool mine = column < p.pitch;
        if (u.slot >= 0) {
            g.bias = p.aux_bias_grad[u.slot];
            for (int i = 0; mine && i < 8; ++i) {
                g.dec[i] = p.aux_dec_grad[size_t(u.slot) * p.pitch + column + i];
                g.enc[i] = p.aux_enc_grad[size_t(u.slot) * p.pitch + column + i];
            }
        }
        if (u.last - u.first <= UPDATE_PART) {
            if (mine) sum_entries(p, u.first, u.last, column, scale, g);
            else for (uint32_t at = u.first; at < u.last; ++at) g.bias += p.value_grad[p.entry[at]];
        } else {
            for (uint32_t part = uint32_t(p.start[f] >> 32); part < uint32_t(p.start[f + 1] >> 32); ++part) {
                const float* from = p.parts + size_t(part) * 2 * p.pitch + column;
                for (int i = 0; mine && i < 8; ++i) {
                    g.dec[i] += from[i];
                    g.enc[i] += from[p.pitch + i];
                }
                g.bias += p.parts_bias[part];
            }
        }
        if (column == int(threadIdx.x) * 8) bias = g.bias;
        for (int i = 0; mine && i < 8; ++i) {
            dec[column + i] = g.dec[i];
            enc[column + i] = g.enc[i];
        }
    }
    return bias;
}

// Moves both rows and the bias of one latent. dec and enc hold its gradients; dec is used again for the new row before its norm is known.
__device__ __forceinline__ void apply(const UpdateParams& p, int f, bool touched, float bias, float factor, float* dec, float* enc, float* scratch) {
    const auto& s = *p.scalars;
    size_t at = size_t(f) * p.pitch;
    int idle = 0;
    if (p.last_touched) idle = int(s.step) - 1 - p.last_touched[f];
    float norm = 0;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        float e = touched ? enc[c] * factor : 0, d = touched ? dec[c] * factor : 0;
        float we = move(load_weight(p.w_enc_hi, p.w_enc_lo, at + c), e, p.m_enc, p.v_enc, at + c, idle, s, p.adam);
        store_weight(p.w_enc_hi, p.w_enc_lo, at + c, we, s, f, c);
        if (p.ema_enc) p.ema_enc[at + c] += (1 - s.ema_decay) * (we - p.ema_enc[at + c]);
        float wd = move(load_weight(p.w_dec_hi, p.w_dec_lo, at + c), d, p.m_dec, p.v_dec, at + c, idle, s, p.adam);
        dec[c] = wd;
        norm += wd * wd;
    }
    bool rescale = p.unit && (touched || s.beta1 > 0);
    if (rescale) norm = block_sum(norm, scratch);
    float shrink = rescale && norm > 0 ? 1 / sqrtf(norm) : 1;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        float wd = dec[c] * shrink;
        store_weight(p.w_dec_hi, p.w_dec_lo, at + c, wd, s, uint64_t(p.latents) + f, c);
        if (p.ema_dec) p.ema_dec[at + c] += (1 - s.ema_decay) * (wd - p.ema_dec[at + c]);
    }
    __syncthreads();                                        // all have read last_touched
    if (threadIdx.x != 0) return;
    float b = move(p.b_enc[f], bias * factor, p.m_b_enc, p.v_b_enc, f, idle, s, p.adam);
    p.b_enc[f] = b;
    if (p.ema_b_enc) p.ema_b_enc[f] += (1 - s.ema_decay) * (b - p.ema_b_enc[f]);
    if (p.last_touched) p.last_touched[f] = int(s.step);
}

// update
//   in      runs of entries, the code and its gradient, residual and centred input in bf16, gradients of the auxiliary loss
//   out     weights, moments, averages; bias_parts and norm_parts by block; with `measure` the last two only
//   launch  grid blocks (fixed: latent f goes to block f % blocks), block 256, shared 3 ld 4 + 128 bytes
//   cost    gathers 2 run ld 2 bytes, streams the moments and weights once
//   order   entries ascending, parts of 256 ascending, latents of a block ascending
SAE_KERNEL(update, UpdateParams, 256) {
    auto scratch = &shared_memory<float>();                 // [32]
    auto dec = scratch + 32, enc = dec + p.pitch, sum = enc + p.pitch;
    const auto& s = *p.scalars;
    float scale = 2 * s.loss_scale;
    double squares = 0;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) sum[c] = 0;
    for (int f = blockIdx.x; f < p.latents; f += gridDim.x) {
        UpdateLatent u{uint32_t(p.start[f]), uint32_t(p.start[f + 1]), p.aux_slot ? p.aux_slot[f] : -1, false};
        u.touched = u.last > u.first || u.slot >= 0;
        if (!u.touched && (p.last_touched || p.measure)) continue;
        __syncthreads();
        float bias = 0, factor = *p.clip_factor;
        if (u.touched) {
            bias = gather(p, f, u, scale, dec, enc);
            __syncthreads();
            size_t at = size_t(f) * p.pitch;
            float dot = 0, norm = 0;
            for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
                sum[c] += bias * load_weight(p.w_enc_hi, p.w_enc_lo, at + c);
                if (p.unit) dot += dec[c] * load_weight(p.w_dec_hi, p.w_dec_lo, at + c);
            }
            if (p.unit) dot = block_sum(dot, scratch);
            for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
                if (p.unit) dec[c] -= dot * load_weight(p.w_dec_hi, p.w_dec_lo, at + c);
                norm += dec[c] * dec[c] + enc[c] * enc[c];
            }
            norm = block_sum(norm, scratch) + bias * bias;
            squares += norm;
            if (p.clip_rows && sqrtf(norm) > s.clip_norm) factor = s.clip_norm / sqrtf(norm);
        }
        if (!p.measure) apply(p, f, u.touched, bias, factor, dec, enc, scratch);
    }
    __syncthreads();
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) p.bias_parts[size_t(blockIdx.x) * p.pitch + c] = sum[c];
    if (threadIdx.x == 0) p.norm_parts[blockIdx.x] = squares;
}
