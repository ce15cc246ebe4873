// prepare: the raw batch, scaled and centred.
#include "common.cuh"

// Exact for every half: the exponent is rebased by a multiplication by 2^112.
__device__ __forceinline__ float half_bits_to_float(uint16_t h) {
    uint32_t bits = __float_as_uint(__uint_as_float(uint32_t(h & 0x7fff) << 13) * 5.192296858534828e33f);
    if ((h & 0x7c00) == 0x7c00) bits |= 0x7f800000u;
    return __uint_as_float(bits | uint32_t(h & 0x8000) << 16);
}

__device__ __forceinline__ float raw_number(const void* raw, size_t at, int type) {
    if (type == 0) return static_cast<const float*>(raw)[at];
    return type == 1 ? half_bits_to_float(static_cast<const uint16_t*>(raw)[at]) : bf16_to_float(static_cast<const uint16_t*>(raw)[at]);
}

// prepare
//   in      raw [B, d + d_out], or raw [any, d + d_out] and list [B] of its rows; b_dec
//   out     x = input_scale raw [B, ld] f32, x_centered = x - b_dec [B, ld] bf16, and of a transcoder y = target_scale raw [B, lo]; padding zero
//   launch  grid B, block 256
//   cost    one read of the batch's rows, one write of all; bound by bandwidth
SAE_KERNEL(prepare, PrepareParams, 256) {
    size_t row = blockIdx.x, first = (p.list ? size_t(p.list[row]) : row) * (p.width + p.out_width);
    for (int i = threadIdx.x; i < p.pitch; i += blockDim.x) {
        float v = 0, mid = 0;
        if (i < p.width) {
            v = raw_number(p.raw, first + i, p.type) * p.scalars->input_scale;
            mid = p.b_dec ? v - p.b_dec[i] : v;
        }
        p.x[row * p.pitch + i] = v;
        p.x_centered[row * p.pitch + i] = float_to_bf16(mid);
    }
    for (int i = threadIdx.x; p.y && i < p.out_pitch; i += blockDim.x)
        p.y[row * p.out_pitch + i] = i < p.out_width ? raw_number(p.raw, first + p.width + i, p.type) * p.scalars->target_scale : 0;
}
