// prepare: the raw batch, scaled and centred.
#include "common.cuh"

// Exact for every half: the exponent is rebased by a multiplication by 2^112.
__device__ __forceinline__ float half_bits_to_float(uint16_t h) {
    uint32_t bits = __float_as_uint(__uint_as_float(uint32_t(h & 0x7fff) << 13) * 5.192296858534828e33f);
    if ((h & 0x7c00) == 0x7c00) bits |= 0x7f800000u;
    return __uint_as_float(bits | uint32_t(h & 0x8000) << 16);
}

// prepare
//   in      raw [B, d], b_dec
//   out     x = input_scale raw [B, ld] f32, x_centered = x - b_dec [B, ld] bf16; padding zero
//   launch  grid B, block 256
//   cost    one read of raw, one write of both; bound by bandwidth
SAE_KERNEL(prepare, PrepareParams, 256) {
    size_t row = blockIdx.x;
    float scale = p.scalars->input_scale;
    for (int i = threadIdx.x; i < p.pitch; i += blockDim.x) {
        float v = 0, mid = 0;
        if (i < p.width) {
            size_t at = row * p.width + i;
            if (p.type == 0) v = static_cast<const float*>(p.raw)[at];
            else if (p.type == 1) v = half_bits_to_float(static_cast<const uint16_t*>(p.raw)[at]);
            else v = bf16_to_float(static_cast<const uint16_t*>(p.raw)[at]);
            v *= scale;
            mid = v - p.b_dec[i];
        }
        p.x[row * p.pitch + i] = v;
        p.x_centered[row * p.pitch + i] = float_to_bf16(mid);
    }
}
