// Eight neighbouring numbers of a row, which a thread moves at a time by 16-byte loads and stores. Rows start at
// multiples of 64 elements, so all accesses are aligned.
#pragma once
#include "common.cuh"

__device__ __forceinline__ void load8(float (&to)[8], const float* from) {
    float4 a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
    to[0] = a.x; to[1] = a.y; to[2] = a.z; to[3] = a.w;
    to[4] = b.x; to[5] = b.y; to[6] = b.z; to[7] = b.w;
}
__device__ __forceinline__ void store8(float* to, const float (&from)[8]) {
    reinterpret_cast<float4*>(to)[0] = make_float4(from[0], from[1], from[2], from[3]);
    reinterpret_cast<float4*>(to)[1] = make_float4(from[4], from[5], from[6], from[7]);
}
__device__ __forceinline__ void add8(float (&sum)[8], const float* from) {
    float v[8];
    load8(v, from);
    for (int i = 0; i < 8; ++i) sum[i] += v[i];
}

// bfloat16, two to a word
__device__ __forceinline__ uint4 load_bf16x8(const bf16_bits* from) { return *reinterpret_cast<const uint4*>(from); }
__device__ __forceinline__ void unpack8(float (&to)[8], uint4 v) {
    const uint32_t pairs[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 4; ++i) {
        to[2 * i] = __uint_as_float(pairs[i] << 16);
        to[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
    }
}
__device__ __forceinline__ void add_scaled8(float (&sum)[8], float s, uint4 v) {
    float f[8];
    unpack8(f, v);
    for (int i = 0; i < 8; ++i) sum[i] = fmaf(s, f[i], sum[i]);
}
__device__ __forceinline__ float dot8(const float (&a)[8], uint4 v) {
    float f[8], sum = 0;
    unpack8(f, v);
    for (int i = 0; i < 8; ++i) sum = fmaf(a[i], f[i], sum);
    return sum;
}

__device__ __forceinline__ void store_halves(void* to, const uint32_t (&halves)[8]) {
    *static_cast<uint4*>(to) = make_uint4(halves[0] | halves[1] << 16, halves[2] | halves[3] << 16,
                                          halves[4] | halves[5] << 16, halves[6] | halves[7] << 16);
}
__device__ __forceinline__ void store_bf16x8(bf16_bits* to, const float (&from)[8]) {
    uint32_t halves[8];
    for (int i = 0; i < 8; ++i) halves[i] = float_to_bf16(from[i]);
    store_halves(to, halves);
}

// Weights, split or in bfloat16 alone.
__device__ __forceinline__ void load_weights8(float (&to)[8], const bf16_bits* hi, const int16_t* lo, size_t at) {
    uint4 h = load_bf16x8(hi + at);
    if (!lo) {
        unpack8(to, h);
        return;
    }
    uint4 l = *reinterpret_cast<const uint4*>(lo + at);
    const uint32_t upper[4] = {h.x, h.y, h.z, h.w}, lower[4] = {l.x, l.y, l.z, l.w};
    for (int i = 0; i < 4; ++i) {
        to[2 * i] = join_float(bf16_bits(upper[i]), int16_t(lower[i]));
        to[2 * i + 1] = join_float(bf16_bits(upper[i] >> 16), int16_t(lower[i] >> 16));
    }
}

// bfloat16 alone is rounded up with a probability equal to the fraction that is cut off, so that small steps are not
// lost.
__device__ __forceinline__ void store_weights8(bf16_bits* hi, int16_t* lo, size_t at, const float (&w)[8],
                                               const StepScalars& s, uint64_t row, int column) {
    const uint64_t seed = s.seed, step = s.step;
    uint32_t upper[8], lower[8];
    if (lo) {
        for (int i = 0; i < 8; ++i) {
            bf16_bits h;
            int16_t l;
            split_float(w[i], h, l);
            upper[i] = h;
            lower[i] = uint16_t(l);
        }
        store_halves(lo + at, lower);
    } else
        for (int i = 0; i < 8; ++i) {
            uint32_t u = __float_as_uint(w[i]);
            if ((u & 0x7f800000u) != 0x7f800000u) u += uint32_t(counter_random(seed, step, row, column + i)) & 0xffff;
            upper[i] = u >> 16;
        }
    store_halves(hi + at, upper);
}
