// update: per latent, the gradients of both rows and of all its numbers, projection, clip, the optimizer's step, constraint and the low-precision
// operand, in one visit. On the sparse path gradients are never written to memory.
#include "moments.cuh"

constexpr int UPDATE_PART = 256;    // entries of a part: index.cu's LONG_RUN
constexpr int NORM_UNIT = 1, NORM_AT_MOST_ONE = 2;
constexpr int TIED_SCALED = 2;

// Training.Trainable
constexpr uint32_t LEARNS_ENCODER = 1, LEARNS_BIAS = 2, LEARNS_DECODER = 4, LEARNS_THRESHOLD = 16, LEARNS_MAG = 32, LEARNS_SCALE = 64, LEARNS_TIE = 256;

struct RowGradient { float dec[8], enc[8], bias; };

__device__ __forceinline__ void add_bf16x8(float (&sum)[8], float s, const bf16_bits* row) {
    uint4 v = *reinterpret_cast<const uint4*>(row);
    const uint32_t pairs[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 4; ++i) {
        sum[2 * i] = fmaf(s, __uint_as_float(pairs[i] << 16), sum[2 * i]);
        sum[2 * i + 1] = fmaf(s, __uint_as_float(pairs[i] & 0xffff0000u), sum[2 * i + 1]);
    }
}

// Sums entries [first, last) over eight columns, in order; a column beyond a matrix's width is left out there.
__device__ __forceinline__ void sum_entries(const UpdateParams& p, uint32_t first, uint32_t last, int column, float scale, RowGradient& g) {
    bool dec = column < p.out_pitch, enc = column < p.pitch;
    for (uint32_t at = first; at < last; ++at) {
        uint32_t e = p.entry[at];
        size_t row = e / p.active, error = row;
        if (p.level) error += size_t(p.level[e]) * p.rows;
        float delta = p.value_grad[e];
        if (dec) add_bf16x8(g.dec, scale * p.value[e], p.residual + error * p.out_pitch + column);
        if (dec && p.gate) add_bf16x8(g.dec, scale * fmaxf(0, p.gate[e]), p.gate_residual + row * p.out_pitch + column);
        if (enc) add_bf16x8(g.enc, delta, p.x_centered + row * p.pitch + column);
        g.bias += delta;
    }
}

// update_parts
//   in      runs longer than 256 entries, cut every 256
//   out     parts [parts, lo + ld] and parts_bias: their sums
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
        for (int column = threadIdx.x * 8; column < max(p.pitch, p.out_pitch); column += blockDim.x * 8) {
            RowGradient g = {};
            sum_entries(p, first, last, column, scale, g);
            float* to = p.parts + size_t(part) * (p.pitch + p.out_pitch);
            for (int i = 0; i < 8; ++i) {
                if (column < p.out_pitch) to[column + i] = g.dec[i];
                if (column < p.pitch) to[p.out_pitch + column + i] = g.enc[i];
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

struct UpdateLatent {
    uint32_t first, last;
    int slot;
    bool touched;
};

struct UpdateShared {
    float *scratch, *dec, *enc, *sum, *m, *v;       // [32], [lo], [ld], [ld], and for eight-bit moments [max] each
};

// Gradients of all columns into shared memory; returns the bias gradient where no sums are given, the same on every thread.
__device__ __forceinline__ float gather(const UpdateParams& p, int f, const UpdateLatent& u, float scale, const UpdateShared& s) {
    float bias = 0;
    int width = max(p.pitch, p.out_pitch);
    for (int column = threadIdx.x * 8; column < width || column == int(threadIdx.x) * 8; column += blockDim.x * 8) {
        RowGradient g = {};
        bool dec = column < p.out_pitch, enc = column < p.pitch;
        if (p.dense_enc)
            for (int i = 0; i < 8; ++i) {
                if (dec) g.dec[i] = p.dense_dec[size_t(f - p.first) * p.out_pitch + column + i];
                if (enc) g.enc[i] = p.dense_enc[size_t(f - p.first) * p.pitch + column + i];
            }
        if (u.slot >= 0) {
            g.bias = p.aux_bias_grad[u.slot];
            for (int i = 0; i < 8; ++i) {
                if (dec) g.dec[i] += p.aux_dec_grad[size_t(u.slot) * p.out_pitch + column + i];
                if (enc) g.enc[i] += p.aux_enc_grad[size_t(u.slot) * p.pitch + column + i];
            }
        }
        if (u.last - u.first <= UPDATE_PART) sum_entries(p, u.first, u.last, column, scale, g);
        else
            for (uint32_t part = uint32_t(p.start[f] >> 32); part < uint32_t(p.start[f + 1] >> 32); ++part) {
                const float* from = p.parts + size_t(part) * (p.pitch + p.out_pitch);
                for (int i = 0; i < 8; ++i) {
                    if (dec) g.dec[i] += from[column + i];
                    if (enc) g.enc[i] += from[p.out_pitch + column + i];
                }
                g.bias += p.parts_bias[part];
            }
        if (column == int(threadIdx.x) * 8) bias = g.bias;
        for (int i = 0; i < 8; ++i) {
            if (dec) s.dec[column + i] = g.dec[i];
            if (enc) s.enc[column + i] = g.enc[i];
        }
    }
    return bias;
}

// The pre-activation loss's part of WEnc, and that of the decoder norm.
__device__ __forceinline__ void add_sums(const UpdateParams& p, size_t f, const EntryGradient& g, const UpdateShared& s) {
    if (g.base != 0)
        for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) s.enc[c] -= g.base * p.input_sum[c];
    if (g.norm == 0) return;
    int first = 0;
    for (int site = 0; site < p.sites; ++site) {
        float norm = 0;
        for (int c = first + threadIdx.x; c < first + p.site_width[site]; c += blockDim.x) {
            float w = load_weight(p.w_dec_hi, p.w_dec_lo, f * p.out_pitch + c);
            norm += w * w;
        }
        norm = sqrtf(block_sum(norm, s.scratch));
        for (int c = first + threadIdx.x; norm > 0 && c < first + p.site_width[site]; c += blockDim.x)
            s.dec[c] += g.norm / norm * load_weight(p.w_dec_hi, p.w_dec_lo, f * p.out_pitch + c);
        first += p.site_width[site];
    }
}

// WEnc = s WDec: WDec hears both gradients. Returns what s hears.
__device__ __forceinline__ float join_tied(const UpdateParams& p, size_t f, const UpdateShared& s) {
    float scale = p.tied == TIED_SCALED ? p.tie_scale.weights[f] : 1, dot = 0;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        dot += s.enc[c] * load_weight(p.w_dec_hi, p.w_dec_lo, f * p.out_pitch + c);
        s.dec[c] += scale * s.enc[c];
        s.enc[c] = 0;
    }
    return p.tied == TIED_SCALED ? block_sum(dot, s.scratch) : 0;
}

__device__ __forceinline__ float block_max(float v, float* scratch) {
    for (int offset = 16; offset > 0; offset >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    for (int w = 0; w < int(blockDim.x / 32); ++w) v = fmaxf(v, scratch[w]);
    return v;
}

// The optimizer's step of one row: row holds its gradient and takes the new weights; the moments are stored.
__device__ __forceinline__ void step_row(const UpdateParams& p, const MomentsParams& moments, size_t f, int width, const bf16_bits* hi, const int16_t* lo, float* row,
                                         float factor, int idle, const UpdateShared& s) {
    const auto& scalars = *p.scalars;
    bool bytes = moments.storage > MOMENTS_BF16;
    float largest_m = 0, largest_v = 0;
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        size_t at = f * width + c;
        Moments x = load_moments(moments, f, at);
        row[c] = step_number(decayed(load_weight(hi, lo, at), scalars), row[c] * factor, x, idle, scalars, p.optimizer);
        if (!bytes) {
            store_moments(moments, scalars, f, at, c, x);
            continue;
        }
        s.m[c] = x.m;
        s.v[c] = x.v;
        largest_m = fmaxf(largest_m, fabsf(x.m));
        largest_v = fmaxf(largest_v, x.v);
    }
    if (!bytes) return;
    float m_scale = block_max(largest_m, s.scratch) / 127, v_scale = sqrtf(block_max(largest_v, s.scratch)) / 255;
    for (int c = threadIdx.x; c < width; c += blockDim.x) store_bytes(moments, scalars, f, f * width + c, c, {s.m[c], s.v[c]}, m_scale, v_scale);
    if (threadIdx.x != 0) return;
    if (moments.m) moments.m_scale[f] = m_scale;
    if (moments.v) moments.v_scale[f] = v_scale;
}

// Moves everything of one latent. dec and enc hold its gradients, zeros where it has none, and then its new rows.
__device__ __forceinline__ void apply(const UpdateParams& p, size_t f, bool touched, const EntryGradient& g, float tie, float factor, const UpdateShared& sh) {
    const auto& s = *p.scalars;
    int idle = 0;
    if (p.last_touched) idle = int(s.step) - 1 - p.last_touched[f];
    __syncthreads();                                        // all have read last_touched
    if (threadIdx.x == 0) {                                 // numbers first: a tied encoder row takes the new scale
        step_vector(p.b_enc, f, g.bias * factor, idle, s, p.optimizer, s.trainable & LEARNS_BIAS);
        step_vector(p.threshold, f, g.threshold * factor, idle, s, p.optimizer, s.trainable & LEARNS_THRESHOLD, p.direct);
        step_vector(p.b_mag, f, g.mag * factor, idle, s, p.optimizer, s.trainable & LEARNS_MAG);
        step_vector(p.r_mag, f, g.scale * factor, idle, s, p.optimizer, p.rescale && (s.trainable & LEARNS_SCALE));
        step_vector(p.tie_scale, f, tie * factor, idle, s, p.optimizer, s.trainable & LEARNS_TIE);
        if (p.last_touched) p.last_touched[f] = int(s.step);
    }
    if (s.trainable & LEARNS_DECODER) {
        step_row(p, p.m_dec, f, p.out_pitch, p.w_dec_hi, p.w_dec_lo, sh.dec, factor, idle, sh);
        float norm = 0, shrink = 1;
        if (p.decoder_norm == NORM_AT_MOST_ONE || (p.decoder_norm == NORM_UNIT && (touched || s.beta1 > 0))) {
            for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) norm += sh.dec[c] * sh.dec[c];
            norm = block_sum(norm, sh.scratch);
            if (norm > (p.decoder_norm == NORM_AT_MOST_ONE ? 1 : 0)) shrink = 1 / sqrtf(norm);
        }
        for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) {
            sh.dec[c] *= shrink;
            store_weight(p.w_dec_hi, p.w_dec_lo, f * p.out_pitch + c, sh.dec[c], s, p.latents + f, c);
        }
    } else
        for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) sh.dec[c] = load_weight(p.w_dec_hi, p.w_dec_lo, f * p.out_pitch + c);
    __syncthreads();
    if (p.tied)
        for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
            sh.enc[c] = (p.tied == TIED_SCALED ? p.tie_scale.weights[f] : 1) * sh.dec[c];
            store_weight(p.w_enc_hi, p.w_enc_lo, f * p.pitch + c, sh.enc[c], s, f, c);
        }
    else if (s.trainable & LEARNS_ENCODER) {
        step_row(p, p.m_enc, f, p.pitch, p.w_enc_hi, p.w_enc_lo, sh.enc, factor, idle, sh);
        for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) store_weight(p.w_enc_hi, p.w_enc_lo, f * p.pitch + c, sh.enc[c], s, f, c);
    } else
        for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) sh.enc[c] = load_weight(p.w_enc_hi, p.w_enc_lo, f * p.pitch + c);
    if (!p.ema_enc) return;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) p.ema_enc[f * p.pitch + c] += (1 - s.ema_decay) * (sh.enc[c] - p.ema_enc[f * p.pitch + c]);
    for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) p.ema_dec[f * p.out_pitch + c] += (1 - s.ema_decay) * (sh.dec[c] - p.ema_dec[f * p.out_pitch + c]);
}

// Frozen parts have no gradient.
__device__ __forceinline__ void mask_frozen(const UpdateParams& p, EntryGradient& g, float& tie, const UpdateShared& s) {
    uint32_t learns = p.scalars->trainable;
    if (!p.rescale || !(learns & LEARNS_SCALE)) g.scale = 0;
    if (!(learns & LEARNS_BIAS)) g.bias = 0;
    if (!(learns & LEARNS_THRESHOLD)) g.threshold = 0;
    if (!(learns & LEARNS_MAG)) g.mag = 0;
    if (!(learns & LEARNS_TIE)) tie = 0;
    for (int c = threadIdx.x; !(learns & LEARNS_ENCODER) && c < p.pitch; c += blockDim.x) s.enc[c] = 0;
    for (int c = threadIdx.x; !(learns & LEARNS_DECODER) && c < p.out_pitch; c += blockDim.x) s.dec[c] = 0;
}

// The whole gradient of a latent: rows in shared memory, numbers in g; projected. Returns its squared norm.
__device__ __forceinline__ float whole_gradient(const UpdateParams& p, int f, const UpdateLatent& u, float scale, EntryGradient& g, float& tie, const UpdateShared& s) {
    size_t dec_at = size_t(f) * p.out_pitch, enc_at = size_t(f) * p.pitch;
    float bias = gather(p, f, u, scale, s);
    if (p.sums) {
        g = p.sums[f];
        if (u.slot >= 0) {
            g.bias += p.aux_bias_grad[u.slot];
            g.input += p.aux_bias_grad[u.slot];
        }
    } else g.input = g.bias = bias;
    __syncthreads();
    add_sums(p, f, g, s);
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) s.sum[c] += g.input * load_weight(p.w_enc_hi, p.w_enc_lo, enc_at + c);
    __syncthreads();
    if (p.tied) tie = join_tied(p, f, s);
    mask_frozen(p, g, tie, s);
    float dot = 0, norm = 0;
    if (p.decoder_norm == NORM_UNIT) {
        for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) dot += s.dec[c] * load_weight(p.w_dec_hi, p.w_dec_lo, dec_at + c);
        dot = block_sum(dot, s.scratch);
    }
    for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) {
        if (p.decoder_norm == NORM_UNIT) s.dec[c] -= dot * load_weight(p.w_dec_hi, p.w_dec_lo, dec_at + c);
        norm += s.dec[c] * s.dec[c];
    }
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) norm += s.enc[c] * s.enc[c];
    return block_sum(norm, s.scratch) + g.bias * g.bias + g.threshold * g.threshold + g.mag * g.mag + g.scale * g.scale + tie * tie;
}

// update
//   in      runs of entries, the code and its gradients, residuals and centred input in bf16, or the dense path's gradients; gradients of dead latents
//   out     weights, moments, averages; bias_parts and norm_parts by block; with `measure` the last two only
//   launch  grid blocks (fixed: latent first + f goes to block f % blocks), block 256, shared (lo + 2 ld + 32, with eight-bit moments + 2 max(ld, lo)) 4 bytes
//   cost    gathers run (lo + ld) 2 bytes, streams the moments and weights once
//   order   entries ascending, parts of 256 ascending, latents of a block ascending
SAE_KERNEL(update, UpdateParams, 256) {
    UpdateShared sh;
    sh.scratch = &shared_memory<float>();
    sh.dec = sh.scratch + 32;
    sh.enc = sh.dec + p.out_pitch;
    sh.sum = sh.enc + p.pitch;
    sh.m = sh.sum + p.pitch;
    sh.v = sh.m + max(p.pitch, p.out_pitch);
    const auto& s = *p.scalars;
    double squares = 0;
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) sh.sum[c] = 0;
    for (int f = p.first + blockIdx.x; f < p.first + p.count; f += gridDim.x) {
        UpdateLatent u{p.dense_enc ? 0 : uint32_t(p.start[f]), p.dense_enc ? 0 : uint32_t(p.start[f + 1]), p.aux_slot ? p.aux_slot[f] : -1, false};
        u.touched = p.dense_enc || u.last > u.first || u.slot >= 0 || (p.sums && p.sums[f].base != 0);
        if (!u.touched && (p.last_touched || p.measure)) continue;
        __syncthreads();
        EntryGradient g = {};
        float tie = 0, factor = *p.clip_factor, norm = 0;
        if (u.touched) {
            norm = whole_gradient(p, f, u, 2 * s.loss_scale, g, tie, sh);
            squares += norm;
            if (p.clip_rows && sqrtf(norm) > s.clip_norm) factor = s.clip_norm / sqrtf(norm);
        } else {
            for (int c = threadIdx.x; c < p.out_pitch; c += blockDim.x) sh.dec[c] = 0;
            for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) sh.enc[c] = 0;
        }
        if (p.measure || (p.optimizer == OPTIMIZER_LAZY_ROW && norm == 0)) continue;
        __syncthreads();
        apply(p, f, u.touched, g, tie, factor, sh);
    }
    __syncthreads();
    for (int c = threadIdx.x; c < p.pitch; c += blockDim.x) {
        float* to = p.bias_parts + size_t(blockIdx.x) * p.pitch + c;
        *to = p.accumulate ? *to + sh.sum[c] : sh.sum[c];
    }
    if (threadIdx.x == 0) p.norm_parts[blockIdx.x] = p.accumulate ? p.norm_parts[blockIdx.x] + squares : squares;
}
