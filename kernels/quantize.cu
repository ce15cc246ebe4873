// quantize: rows in 8 bits for the screening encoder (screen.cu), each number within one step of its value and without
// bias.
//
// A row is v_i = step (q_i + e_i) with whole q_i in [-127, 127]. t = v_i / step is rounded up with probability t -
// floor(t), so E e_i = 0, e_i lies in an interval of length 1, and the e_i are independent. The bound of screen.cuh
// requires these properties. step is slightly more than max |v| / 127, so that no number leaves the range. norm is that
// of the row with every number rounded away from zero: at least |v|, and at least step |q|.
//
// Input dimensions differ by orders of magnitude ("massive activations"), and one large number reduces the precision of
// all others in its row. The kernel therefore quantizes x_i / s_i and w_i s_i: <x, w> is the same up to two roundings,
// which screen.cuh counts (after Xiao et al. 2022, arXiv 2211.10438).
#include "common.cuh"

constexpr int QUANTIZE_WARPS = 8;
constexpr uint64_t QUANTIZE_SEED = 0x5c2ee71a60b3d94full;       // a separate stream of random numbers
// a row's largest magnitude at which its steps are still exact enough; smaller ones must be 0
constexpr float SMALLEST_LARGEST = 7.9e-31f;

struct ScalesShared { float x[QUANTIZE_WARPS][32], w[QUANTIZE_WARPS][32]; };
constexpr int screen_scales_shared_bytes() { return sizeof(ScalesShared); }

// The mean square of a column over rows 0, by, 2 by, ...: each warp takes a share, and warps are added in order.
__device__ __forceinline__ float column_square(const bf16_bits* from, int rows, int by, int ld, int column,
                                               float (&part)[QUANTIZE_WARPS][32]) {
    float sum = 0;
    for (int row = threadIdx.x / 32; row < rows; row += QUANTIZE_WARPS) {
        float v = bf16_to_float(from[size_t(row) * by * ld + column]);
        sum = fmaf(v, v, sum);
    }
    part[threadIdx.x / 32][threadIdx.x % 32] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < QUANTIZE_WARPS; ++w) sum += part[w][threadIdx.x % 32];
    return sum / rows;
}

// screen_scales: s_i = (E x_i^2 / E w_i^2)^(1/4), 2^-16 to 2^16: both operands then have the same spread in every
// dimension
//   in      x_centered, `sample` rows of w_enc, evenly spread
//   out     scale [ld], at steps 1, 1 + every, ... of training; nothing at other steps
//   launch  grid ld / 32, block 256, shared sizeof(ScalesShared)
//   cost    (B + sample) ld 2 bytes in those steps
//   order   rows of a warp ascending, warps ascending
SAE_KERNEL(screen_scales, ScreenScalesParams, QUANTIZE_WARPS * 32) {
    if (p.scalars->inference || (p.scalars->step - 1) % uint32_t(p.every) != 0) return;
    auto& s = shared_memory<ScalesShared>();
    const int column = blockIdx.x * 32 + threadIdx.x % 32;
    const float x = column_square(p.x_centered, p.rows, 1, p.ld, column, s.x);
    const float w = column_square(p.w_enc, p.sample, p.latents / p.sample, p.ld, column, s.w);
    // NaN of 0 / 0 becomes the smallest scale
    if (threadIdx.x < 32) p.scale[column] = fminf(fmaxf(sqrtf(sqrtf(x / w)), 1.52587890625e-5f), 65536);
}

// Eight numbers of a row times or divided by their scales. The scale of a dimension that has none yet is 1.
__device__ __forceinline__ void scaled(const QuantizeParams& p, const bf16_bits* from, int column, float (&v)[8]) {
    const uint4 bits = *reinterpret_cast<const uint4*>(from + column);
    const uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const float number = __uint_as_float(i % 2 ? pairs[i / 2] & 0xffff0000u : pairs[i / 2] << 16);
        float scale = p.scale[column + i];
        if (scale == 0) scale = 1;
        v[i] = p.weights ? number * scale : number / scale;
    }
}

// quantize
//   in      from [rows, ld] bf16, scale [ld]
//   out     to [rows, ld] in 8 bits, row [rows]: step and norm; where a number is not finite, NaN for both, and zeros
//           in `to`
//   launch  grid ceil(rows / 8), block 256: a warp a row
//   needs   ld % 64 == 0, padding zero
//   cost    rows ld 3 bytes, bandwidth; with last_touched only the rows that changed since they were last quantized,
//           and all rows when the scales changed
//   order   dither is a function of (seed, row, column), and of the step for the input: the result does not depend on
//           when it is made
SAE_KERNEL(quantize, QuantizeParams, QUANTIZE_WARPS * 32) {
    const int row = blockIdx.x * QUANTIZE_WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= p.rows) return;
    const auto& s = *p.scalars;
    if (p.last_touched && (s.step - 1) % uint32_t(p.every) != 0 && p.last_touched[row] < p.quantized_at[row]) return;
    const bf16_bits* from = p.from + size_t(row) * p.ld;
    float v[8];
    uint32_t largest = 0;                                       // as bits, whose order includes infinity and NaN
    for (int column = lane * 8; column < p.ld; column += 256) {
        scaled(p, from, column, v);
        for (int i = 0; i < 8; ++i) largest = max(largest, __float_as_uint(v[i]) & 0x7fffffffu);
    }
    for (int offset = 16; offset > 0; offset >>= 1)
        largest = max(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
    const bool usable = largest == 0 || (largest < 0x7f800000u && __uint_as_float(largest) >= SMALLEST_LARGEST);
    const float step = usable ? __uint_as_float(largest) * (1.00000095f / 127) : __uint_as_float(0x7fffffffu);
    const float inverse = usable && largest > 0 ? 1 / step : 0;
    uint32_t squares = 0;                                       // at most 16384 * 127^2
    for (int column = lane * 8; column < p.ld; column += 256) {
        scaled(p, from, column, v);
        uint32_t packed[2] = {0, 0};
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const uint64_t random =
                counter_random(s.seed ^ QUANTIZE_SEED, p.weights ? ~0ull : s.step, row, column / 4 + i / 4);
            const float t = usable ? v[i] * inverse : 0, down = floorf(t);
            const float dither = float(uint32_t(random >> 16 * (i % 4)) & 0xffff) + 0.5f;
            const int q = int(down) + ((t - down) * 65536 > dither);
            const uint32_t away = uint32_t(ceilf(fabsf(t)));
            squares += away * away;
            packed[i / 4] |= uint32_t(q & 0xff) << 8 * (i % 4);
        }
        *reinterpret_cast<uint2*>(p.to + size_t(row) * p.ld + column) = make_uint2(packed[0], packed[1]);
    }
    for (int offset = 16; offset > 0; offset >>= 1) squares += __shfl_xor_sync(0xffffffffu, squares, offset);
    if (lane != 0) return;
    p.row[row] = {step, step * sqrtf(float(squares)) * 1.000001f};
    // an evaluation's step is not the step of training
    if (p.last_touched) p.quantized_at[row] = s.inference ? 0 : int(s.step);
}
