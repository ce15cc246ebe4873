// What follows once the gradient of a latent's two rows is known: projection, the optimizer's step, the decoder norm,
// the low-precision operand.
#pragma once
#include "moments.cuh"
#include "update_gather.cuh"

// Adds the pre-activation loss's gradient of WEnc, and the penalty's gradient by the decoder norm.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void add_sums(const UpdateParams& p, const Group& group, uint32_t f, const EntryGradient& g,
                                         Rows<V, PLAIN>& rows) {
    if (g.base != 0)
        each_column<V>(group, p.ld, [&](int v, int column) {
            float all[8];
            load8(all, p.input_sum + column);
            for (int i = 0; i < 8; ++i) rows.enc[v][i] -= g.base * all[i];
        });
    if (g.norm == 0) return;
    int first = 0;
#pragma unroll 1
    for (int site = 0; site < p.sites; ++site) {            // a site's columns need not begin at a multiple of eight
        int last = first + p.site_width[site];
        auto inside = [&](int column) { return column >= first && column < last; };
        float norm = 0, w[8];
        each_column<V>(group, p.lo, [&](int, int column) {
            load_weights8(w, p.w_dec_hi, p.w_dec_lo, row_start(f, p.lo) + column);
            for (int i = 0; i < 8; ++i) norm += inside(column + i) ? w[i] * w[i] : 0;
        });
        norm = sqrtf(group.sum(norm));
        each_column<V>(group, norm > 0 ? p.lo : 0, [&](int v, int column) {
            load_weights8(w, p.w_dec_hi, p.w_dec_lo, row_start(f, p.lo) + column);
            for (int i = 0; i < 8; ++i) rows.dec[v][i] += inside(column + i) ? g.norm / norm * w[i] : 0;
        });
        first = last;
    }
}

// Tied weights, WEnc = s WDec: adds s dL/dWEnc to dL/dWDec. Returns dL/ds.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ float join_tied(const UpdateParams& p, const Group& group, uint32_t f,
                                           Rows<V, PLAIN>& rows) {
    float scale = p.tied == Tying::Scaled ? p.tie_scale.weights[f] : 1, dot = 0;
    each_column<V>(group, p.ld, [&](int v, int column) {
        float w[8];
        load_weights8(w, p.w_dec_hi, p.w_dec_lo, row_start(f, p.lo) + column);
        for (int i = 0; i < 8; ++i) {
            dot += rows.enc[v][i] * w[i];
            rows.dec[v][i] += scale * rows.enc[v][i];
            rows.enc[v][i] = 0;
        }
    });
    return p.tied == Tying::Scaled ? group.sum(dot) : 0;
}

// Projects the gradient of a decoder row of norm 1 onto the tangent of the sphere.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void project(const UpdateParams& p, const Group& group, uint32_t f, Rows<V, PLAIN>& rows) {
    float dot = 0, w[8];
    each_column<V>(group, p.lo, [&](int v, int column) {
        load_weights8(w, p.w_dec_hi, p.w_dec_lo, row_start(f, p.lo) + column);
        for (int i = 0; i < 8; ++i) dot += rows.dec[v][i] * w[i];
    });
    dot = group.sum(dot);
    each_column<V>(group, p.lo, [&](int v, int column) {
        // Loaded a second time, from the first-level cache: registers do not hold it.
        load_weights8(w, p.w_dec_hi, p.w_dec_lo, row_start(f, p.lo) + column);
        for (int i = 0; i < 8; ++i) rows.dec[v][i] -= dot * w[i];
    });
}

// The scales of a row's eight-bit moments after the step. They depend on the largest moments, so the step is computed
// once for them alone; the moments do not depend on the weights.
template <int V, class Group>
__device__ __forceinline__ MomentScales new_scales(const UpdateParams& p, const Group& group,
                                                   const MomentsParams& moments, size_t at, int width,
                                                   const MomentScales& old, const float (&g)[V][8], float factor,
                                                   int missed_steps, const StepScalars& s) {
    float largest_m = 0, largest_v = 0;
    each_column<V>(group, width, [&](int v, int column) {
        Moments8 x;
        float unused[8] = {};
        load_moments8<false>(moments, at + column, old, x);
        step8(unused, g[v], factor, x, missed_steps, s, p.optimizer);
        for (int i = 0; i < 8; ++i) {
            largest_m = fmaxf(largest_m, fabsf(x.m[i]));
            largest_v = fmaxf(largest_v, x.v[i]);
        }
    });
    MomentScales scales;
    scales.m = group.largest(largest_m) / 127;
    scales.v = sqrtf(group.largest(largest_v)) / 255;
    return scales;
}

// The optimizer's step of one row. g holds the gradient and receives the new weights; the moments are stored.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void step_row(const UpdateParams& p, const Group& group, const MomentsParams& moments,
                                         uint32_t f, int width, const bf16_bits* hi, const int16_t* lo,
                                         float (&g)[V][8], float factor, int missed_steps, const StepScalars& s) {
    MomentScales old, scales;
    uint32_t m_key = 0, v_key = 0;
    if (moments.storage != MomentStorage::Float32) {
        m_key = moment_key(moments, s, p.origin + f, 0);
        v_key = moment_key(moments, s, p.origin + f, 1);
    }
    if (!PLAIN && moments.storage > MomentStorage::BFloat16) {
        old = load_scales(moments, f);
        scales = new_scales<V>(p, group, moments, row_start(f, width), width, old, g, factor, missed_steps, s);
    }
    each_column<V>(group, width, [&](int v, int column) {
        size_t at = row_start(f, width) + column;
        Moments8 x;
        float w[8];
        load_weights8(w, hi, lo, at);
        load_moments8<PLAIN>(moments, at, old, x);
        step8(w, g[v], factor, x, missed_steps, s, p.optimizer);
        store_moment8<PLAIN>(moments.m, moments.storage, at, column, x.m, m_key, scales.m, false);
        store_moment8<PLAIN>(moments.v, moments.storage, at, column, x.v, v_key, scales.v, true);
        for (int i = 0; i < 8; ++i) g[v][i] = w[i];
    });
    if (PLAIN || moments.storage <= MomentStorage::BFloat16 || group.rank() != 0) return;
    if (moments.m) moments.m_scale[f] = scales.m;
    if (moments.v) moments.v_scale[f] = scales.v;
}

template <int V, class Group>
__device__ __forceinline__ void load_row(const Group& group, int width, const bf16_bits* hi, const int16_t* lo,
                                         size_t at, float (&to)[V][8]) {
    each_column<V>(group, width, [&](int v, int column) { load_weights8(to[v], hi, lo, at + column); });
}

template <int V, class Group>
__device__ __forceinline__ void average_row(const Group& group, int width, float* average, float decay,
                                            const float (&w)[V][8]) {
    if (!average) return;
    each_column<V>(group, width, [&](int v, int column) {
        float a[8];
        load8(a, average + column);
        for (int i = 0; i < 8; ++i) a[i] += (1 - decay) * (w[v][i] - a[i]);
        store8(average + column, a);
    });
}

// The step of the decoder row. rows.dec holds its gradient, then its new weights.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void step_decoder(const UpdateParams& p, const Group& group, uint32_t f, bool has_gradient,
                                             float factor, int missed_steps, Rows<V, PLAIN>& rows,
                                                 const StepScalars& s) {
    size_t at = row_start(f, p.lo);
    if (!learns(s.trainable, Trainable::Decoder)) {
        load_row<V>(group, p.lo, p.w_dec_hi, p.w_dec_lo, at, rows.dec);
        return;
    }
    step_row<V, PLAIN>(p, group, p.m_dec, f, p.lo, p.w_dec_hi, p.w_dec_lo, rows.dec, factor, missed_steps, s);
    float norm = 0, shrink = 1;
    if (p.decoder_norm == DecoderNorm::AtMostOne
        || (p.decoder_norm == DecoderNorm::Unit && (has_gradient || s.beta1 > 0))) {
        each_column<V>(group, p.lo, [&](int v, int) {
            for (int i = 0; i < 8; ++i) norm += rows.dec[v][i] * rows.dec[v][i];
        });
        norm = group.sum(norm);
        if (norm > (p.decoder_norm == DecoderNorm::AtMostOne ? 1 : 0)) shrink = 1 / sqrtf(norm);
    }
    each_column<V>(group, p.lo, [&](int v, int column) {
        for (int i = 0; i < 8; ++i) rows.dec[v][i] *= shrink;
        store_weights8(p.w_dec_hi, p.w_dec_lo, at + column, rows.dec[v], s, p.all_latents + p.origin + f, column);
    });
}

// The step of the encoder row. It follows that of the decoder row, of which it is a multiple where both are tied.
template <int V, bool PLAIN, class Group>
__device__ __forceinline__ void step_encoder(const UpdateParams& p, const Group& group, uint32_t f, float factor,
                                             int missed_steps, Rows<V, PLAIN>& rows, const StepScalars& s) {
    size_t at = row_start(f, p.ld);
    bool tied = !PLAIN && p.tied != Tying::Untied;
    if (!tied && !learns(s.trainable, Trainable::Encoder)) {
        load_row<V>(group, p.ld, p.w_enc_hi, p.w_enc_lo, at, rows.enc);
        return;
    }
    if (!tied)
        step_row<V, PLAIN>(p, group, p.m_enc, f, p.ld, p.w_enc_hi, p.w_enc_lo, rows.enc, factor, missed_steps, s);
    float tie = tied && p.tied == Tying::Scaled ? p.tie_scale.weights[f] : 1;
    each_column<V>(group, p.ld, [&](int v, int column) {
        for (int i = 0; tied && i < 8; ++i) rows.enc[v][i] = tie * rows.dec[v][i];
        store_weights8(p.w_enc_hi, p.w_enc_lo, at + column, rows.enc[v], s, p.origin + f, column);
    });
}
