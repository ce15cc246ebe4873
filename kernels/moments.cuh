// The two moments of a matrix row, in float32, bfloat16 or eight bits, and one step of the optimizer. The narrow
// formats round stochastically, by a counter-based generator; src/CudaSae/Backends/Cpu/Moments.cs draws the same
// numbers.
#pragma once
#include "vector.cuh"

__device__ __forceinline__ bool learns(Trainable parts, Trainable part) { return uint32_t(parts) & uint32_t(part); }

struct Moments { float m, v; };

__device__ __forceinline__ Moments load_moments(const MomentsParams& p, size_t row, size_t at) {
    Moments r = {0, 0};
    if (p.storage == MomentStorage::Float32) {
        if (p.m) r.m = static_cast<const float*>(p.m)[at];
        if (p.v) r.v = static_cast<const float*>(p.v)[at];
    } else if (p.storage == MomentStorage::BFloat16) {
        if (p.m) r.m = bf16_to_float(static_cast<const bf16_bits*>(p.m)[at]);
        if (p.v) r.v = bf16_to_float(static_cast<const bf16_bits*>(p.v)[at]);
    } else {
        if (p.m) r.m = static_cast<const int8_t*>(p.m)[at] * p.m_scale[row];
        if (p.v) {
            float root = static_cast<const uint8_t*>(p.v)[at] * p.v_scale[row];
            r.v = root * root;
        }
    }
    return r;
}

// A key for each moment of a row, and 32 bits for each of its elements (Wellons 2018, lowbias32).
__device__ __forceinline__ uint32_t moment_key(const MomentsParams& p, const StepScalars& s, size_t row, int which) {
    return uint32_t(counter_random(s.seed, s.step, row, p.id * 2 + which) >> 32);
}
__device__ __forceinline__ uint32_t moment_random(uint32_t key, int column) {
    uint32_t x = key + uint32_t(column) * 0x9e3779b9u;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

__device__ __forceinline__ bf16_bits stochastic_bf16(float f, uint32_t random) {
    return bf16_bits((__float_as_uint(f) + (random & 0xffff)) >> 16);
}

// Stores float32 and bfloat16 moments. Eight bits need the largest of the row first.
__device__ __forceinline__ void store_moments(const MomentsParams& p, const StepScalars& s, size_t row, size_t at,
                                              int column, Moments x) {
    if (p.storage == MomentStorage::Float32) {
        if (p.m) static_cast<float*>(p.m)[at] = x.m;
        if (p.v) static_cast<float*>(p.v)[at] = x.v;
    } else {
        if (p.m)
            static_cast<bf16_bits*>(p.m)[at] = stochastic_bf16(x.m, moment_random(moment_key(p, s, row, 0), column));
        if (p.v)
            static_cast<bf16_bits*>(p.v)[at] = stochastic_bf16(x.v, moment_random(moment_key(p, s, row, 1), column));
    }
}

// One step of one number. missed_steps: the steps that v missed while its row was skipped. Scalars: StepScalars, or a
// copy of the fields that are used here.
template <class Scalars>
__device__ __forceinline__ float step_number(float w, float g, Moments& x, int missed_steps, const Scalars& s,
                                             OptimizerKind optimizer) {
    if (optimizer == OptimizerKind::Sgd) return w - s.learning_rate * g;
    x.m = x.m * s.beta1 + g * (1 - s.beta1);
    if (optimizer == OptimizerKind::Signum) return x.m == 0 ? w : w - copysignf(s.learning_rate, x.m);
    // as dense Adam would have done, one step after the other
    for (; missed_steps > 0; --missed_steps) x.v *= s.beta2;
    x.v = x.v * s.beta2 + g * g * (1 - s.beta2);
    return x.m == 0 ? w : w - s.learning_rate * s.correction1 * x.m / (sqrtf(x.v * s.correction2) + s.epsilon);
}

template <class Scalars>
__device__ __forceinline__ float decayed(float w, const Scalars& s) {
    return s.weight_decay > 0 ? w * (1 - s.learning_rate * s.weight_decay) : w;
}

// ---------------------------------------------------------------------------------------------------------------------
// eight columns at a time

struct Moments8 { float m[8], v[8]; };

// The units of a row's eight-bit moments.
struct MomentScales { float m = 0, v = 0; };

__device__ __forceinline__ MomentScales load_scales(const MomentsParams& p, size_t row) {
    MomentScales scales;
    if (p.m_scale) scales.m = p.m_scale[row];
    if (p.v_scale) scales.v = p.v_scale[row];
    return scales;
}

// WIDE: the moments certainly have 16 or 32 bits.
template <bool WIDE>
__device__ __forceinline__ void load_moments8(const MomentsParams& p, size_t at, const MomentScales& scales,
                                              Moments8& x) {
    for (int i = 0; i < 8; ++i) x.m[i] = x.v[i] = 0;
    if (p.storage == MomentStorage::Float32) {
        if (p.m) load8(x.m, static_cast<const float*>(p.m) + at);
        if (p.v) load8(x.v, static_cast<const float*>(p.v) + at);
    } else if (WIDE || p.storage == MomentStorage::BFloat16) {
        if (p.m) unpack8(x.m, load_bf16x8(static_cast<const bf16_bits*>(p.m) + at));
        if (p.v) unpack8(x.v, load_bf16x8(static_cast<const bf16_bits*>(p.v) + at));
    } else {
        uint2 m = p.m ? *reinterpret_cast<const uint2*>(static_cast<const int8_t*>(p.m) + at) : make_uint2(0, 0);
        uint2 v = p.v ? *reinterpret_cast<const uint2*>(static_cast<const uint8_t*>(p.v) + at) : make_uint2(0, 0);
        for (int i = 0; i < 8; ++i) {
            x.m[i] = int8_t((i < 4 ? m.x : m.y) >> i % 4 * 8) * scales.m;
            float root = uint8_t((i < 4 ? v.x : v.y) >> i % 4 * 8) * scales.v;
            x.v[i] = root * root;
        }
    }
}

// A second moment that is not 0 is never stored as 0: its first moment would then be divided by epsilon alone.
__device__ __forceinline__ uint8_t moment_byte(float v, float scale, uint32_t random, bool root) {
    constexpr float UNIT = 2.3283064e-10f;      // 2^-32
    if (scale == 0 || (root && v == 0)) return 0;
    float q = floorf((root ? sqrtf(v) : v) / scale + random * UNIT);
    return root ? uint8_t(fminf(255, fmaxf(1, q))) : uint8_t(int8_t(fminf(127, fmaxf(-127, q))));
}

template <bool WIDE>
__device__ __forceinline__ void store_moment8(void* to, MomentStorage storage, size_t at, int column,
                                              const float (&x)[8], uint32_t key, float scale, bool root) {
    if (!to) return;
    if (storage == MomentStorage::Float32) {
        store8(static_cast<float*>(to) + at, x);
        return;
    }
    if (WIDE || storage == MomentStorage::BFloat16) {
        uint32_t halves[8];
        for (int i = 0; i < 8; ++i) halves[i] = stochastic_bf16(x[i], moment_random(key, column + i));
        store_halves(static_cast<bf16_bits*>(to) + at, halves);
        return;
    }
    uint32_t words[2] = {0, 0};
    for (int i = 0; i < 8; ++i)
        words[i / 4] |= uint32_t(moment_byte(x[i], scale, moment_random(key, column + i), root)) << i % 4 * 8;
    *reinterpret_cast<uint2*>(static_cast<uint8_t*>(to) + at) = make_uint2(words[0], words[1]);
}

// The scalars of a step of one number. They are read once for eight numbers, because the compiler would read them again
// after every branch.
struct OptimizerScalars {
    float learning_rate, beta1, beta2, epsilon, correction1, correction2, weight_decay;

    __device__ __forceinline__ explicit OptimizerScalars(const StepScalars& s)
        : learning_rate(s.learning_rate), beta1(s.beta1), beta2(s.beta2), epsilon(s.epsilon),
          correction1(s.correction1), correction2(s.correction2), weight_decay(s.weight_decay) {}
};

__device__ __forceinline__ void step8(float (&w)[8], const float (&g)[8], float factor, Moments8& x, int missed_steps,
                                      const StepScalars& scalars, OptimizerKind optimizer) {
    const OptimizerScalars s(scalars);
#pragma unroll 1
    // as dense Adam would have done, one step after the other
    for (; missed_steps > 0; --missed_steps)
        for (int i = 0; i < 8; ++i) x.v[i] *= s.beta2;
    for (int i = 0; i < 8; ++i) {
        Moments one = {x.m[i], x.v[i]};
        w[i] = step_number(decayed(w[i], s), g[i] * factor, one, 0, s, optimizer);
        x.m[i] = one.m;
        x.v[i] = one.v;
    }
}

// ---------------------------------------------------------------------------------------------------------------------

// The step of one number of a latent, with its moments and average.
__device__ __forceinline__ void step_vector(const LatentVectorParams& p, size_t f, float g, int missed_steps,
                                            const StepScalars& s, OptimizerKind optimizer, bool moves,
                                            bool positive = false) {
    if (!p.weights || !moves) return;
    Moments x = {p.m[f], p.v[f]};
    float w = step_number(p.weights[f], g, x, missed_steps, s, optimizer);
    if (positive) w = fmaxf(0, w);
    p.m[f] = x.m;
    p.v[f] = x.v;
    p.weights[f] = w;
    if (p.average) p.average[f] += (1 - s.ema_decay) * (w - p.average[f]);
}
