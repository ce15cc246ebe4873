// prepare: the raw batch, scaled and centred.
#include "vector.cuh"

// Exact for every half: a multiplication by 2^112 rebases the exponent.
__device__ __forceinline__ float half_bits_to_float(uint16_t h) {
    uint32_t bits = __float_as_uint(__uint_as_float(uint32_t(h & 0x7fff) << 13) * 5.192296858534828e33f);
    if ((h & 0x7c00) == 0x7c00) bits |= 0x7f800000u;
    return __uint_as_float(bits | uint32_t(h & 0x8000) << 16);
}

__device__ __forceinline__ float raw_number(const void* raw, size_t at, InputType type) {
    if (type == InputType::Float32) return static_cast<const float*>(raw)[at];
    const uint16_t bits = static_cast<const uint16_t*>(raw)[at];
    return type == InputType::Float16 ? half_bits_to_float(bits) : bf16_to_float(bits);
}

// Eight numbers of the input's type, at a multiple of eight.
__device__ __forceinline__ void raw_numbers(float (&to)[8], const void* raw, size_t at, InputType type) {
    if (type == InputType::Float32) {
        load8(to, static_cast<const float*>(raw) + at);
        return;
    }
    uint4 v = load_bf16x8(static_cast<const uint16_t*>(raw) + at);
    unpack8(to, v);
    if (type == InputType::Float16)
        for (int i = 0; i < 8; ++i) to[i] = half_bits_to_float(uint16_t(__float_as_uint(to[i]) >> 16));
}

// prepare
//   in      the batch [B, d + d_out] of one of two inputs, or the positions [B] of its rows in a pool [any, d + d_out];
//           b_dec
//   out     x = input_scale raw [B, ld] f32, x_centered = x - b_dec [B, ld] bf16, and for a transcoder y = target_scale
//           raw [B, lo]; padding zero
//   launch  grid B, block 256
//   cost    one read of the batch's rows, one write of each output; bound by bandwidth. 16-byte loads where rows begin
//           and end at multiples of eight, else number by number
SAE_KERNEL(prepare, PrepareParams, 256) {
    const uint32_t input = p.scalars->input;
    const bool pooled = input >= 2;
    const void* raw = pooled ? p.pool : p.batch[input];
    const size_t row = blockIdx.x;
    const size_t first = (pooled ? size_t(p.lists[(input - 2) * p.rows + row]) : row) * (p.width + p.out_width);
    const bool aligned = p.width % 8 == 0 && p.out_width % 8 == 0;
    auto numbers = [&](float (&to)[8], size_t at, int column, int width) {
        for (int i = 0; i < 8; ++i) to[i] = 0;
        if (aligned && column < width) raw_numbers(to, raw, at + column, p.type);
        else
            for (int i = 0; i < 8 && column + i < width; ++i) to[i] = raw_number(raw, at + column + i, p.type);
    };
    float v[8], mid[8] = {};
    for (int c = threadIdx.x * 8; c < p.ld; c += blockDim.x * 8) {
        numbers(v, first, c, p.width);
        if (p.b_dec) load8(mid, p.b_dec + c);
        for (int i = 0; i < 8; ++i) {
            v[i] *= p.scalars->input_scale;
            mid[i] = c + i < p.width ? v[i] - mid[i] : 0;
        }
        store8(p.x + row * p.ld + c, v);
        store_bf16x8(p.x_centered + row * p.ld + c, mid);
        for (int i = 0; i < 8; ++i) mid[i] = 0;
    }
    for (int c = threadIdx.x * 8; p.y && c < p.lo; c += blockDim.x * 8) {
        numbers(v, first + p.width, c, p.out_width);
        for (int i = 0; i < 8; ++i) v[i] *= p.scalars->target_scale;
        store8(p.y + row * p.lo + c, v);
    }
}
