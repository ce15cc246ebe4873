// screen: which columns of the encoder can still be among a row's k largest, by 8-bit products; rescore.cu then computes those exactly.
//
// With x = a (q + e), w = c (p + f) (quantize.cu: a, c steps, q, p whole numbers, e, f dither of mean 0 on intervals of length 1)
//   <x, w> = a c <q, p> + sum_i (a w_i e_i + a q_i c f_i).
// The terms are independent over i. By Hoeffding's lemma over f_i and then e_i, with |a q_i| never above |x_i| rounded away from zero, the sum has
// E exp(l S) <= exp(l^2 (a^2 |w|^2 + c^2 |x~|^2) / 8), x~ that rounded row, so with probability at least 1 - delta
//   <x, w> <= a c <q, p> + h sqrt(a^2 N^2 + c^2 R^2),   h = sqrt(ln(1 / delta) / 2),  N and R quantize.cu's norms.
// `margin` is h for delta = 1e-9, and a little: t = v / step and the 16 bits of dither are off by less than 2^-15 of a step, which shifts the sum
// by at most 2^-15 sqrt(ld) (a N + c R). `rounding` (ld + 16) 2^-23 times R N + |b| covers encode's float32 sum, any order, truncated or
// rounded, x / s and w s, and the few operations here. b is b_enc; a column survives unless the bound is at or below what a candidate must exceed.
//
// The square root is not taken: sqrt(1 + z) <= (g + (1 + z) / g) / 2 for every g > 0, with g that of a row and column whose largest number is four
// times their spread. The sum of squares within a factor of two of that, the bound is at most 6 % above the root.
// A missed column is one that Hoeffding's bound misses: at most delta for each of the B k entries of a step's code, so B k delta a step.
#include "mma_tile.cuh"
#include "select.cuh"

struct ScreenConstants {
    float4 column[TILE];        // c, b, N, c^2 / N
    float4 row[TILE];           // a, what multiplies N, what multiplies c^2 / N, what must be exceeded
};
static_assert(sizeof(ScreenConstants) <= sizeof(TileShared));

__device__ __forceinline__ float4 column_constants(const ScreenParams& p, int column) {
    if (column >= p.end) return make_float4(0, 0, 0, 0);
    const ScreenRow w = p.w_row[column];
    return make_float4(w.step, p.b_enc[column], w.norm, w.norm == 0 ? 0 : w.step * w.step / w.norm);
}

__device__ __forceinline__ float4 row_constants(const ScreenParams& p, int row) {
    if (row >= p.rows) return make_float4(0, 0, 0, __int_as_float(0x7f800000));
    const ScreenRow x = p.x_row[row];
    const float floor = limit_floor(p.limit[row]);
    if (x.step == 0) return make_float4(0, 0, 0, floor);
    const float typical = 4 / (127 * sqrtf(float(p.depth))), steps = x.norm / x.step;
    const float g = sqrtf(1 + steps * typical * steps * typical);
    return make_float4(x.step, 0.5f * p.margin * x.step * (g + 1 / g) + p.rounding * x.norm, 0.5f * p.margin * steps * x.norm / g, floor);
}

// Bit n 2 + i of found[m][upper]: the sum [m][n][upper 2 + i] survives. With NaN anywhere it does.
template <bool MAGNITUDE>
__device__ __forceinline__ void find_survivors(const TileSumsOf<int>& sums, const ScreenConstants& s, float rounding, uint32_t (&found)[4][2]) {
    float4 row[4][2];
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int upper = 0; upper < 2; ++upper) row[m][upper] = s.row[tile_row(m, upper)], found[m][upper] = 0;
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const float4 column = s.column[tile_column(n) + i];
            const float slack = rounding * fabsf(column.y);
#pragma unroll
            for (int m = 0; m < 4; ++m)
#pragma unroll
                for (int upper = 0; upper < 2; ++upper) {
                    const float4& r = row[m][upper];
                    float score = fmaf(float(sums[m][n][upper * 2 + i]) * column.x, r.x, column.y);
                    if (MAGNITUDE) score = fabsf(score);
                    const float above = score + fmaf(column.w, r.z, fmaf(column.z, r.y, slack));
                    if (!(above <= r.w)) found[m][upper] |= 1u << (n * 2 + i);
                }
        }
}

// screen — survivors among columns [begin, end)
//   in    x [B, ld] and w [n, ld] in 8 bits with their rows' steps and norms, b_enc, limit [B]
//   out   appended to candidates [B, pitch], count [B]: column numbers, for rescore.cu
//   launch grid ceil(B / 128) * ceil((end - begin) / 128), block 128, shared sizeof(TileShared) = 65536
//   needs ld % 64 == 0, padding of both operands zero, 16-byte aligned rows
//   cost  2 B (end - begin) ld operations on 8-bit tensor cores (twice the rate of bf16), and about 8 instructions a column and row
//   order survivors of a row come in any order; the set does not depend on it
SAE_KERNEL(screen, ScreenParams, TILE_THREADS) {
    auto& s = shared_memory<TileShared>();
    const TilePosition at = tile_position(blockIdx.x, (p.rows + TILE - 1) / TILE, (p.end - p.begin + TILE - 1) / TILE);
    const int row_begin = at.row * TILE, begin = p.begin + at.column * TILE, pairs = p.depth / 2;
    TileSumsOf<int> sums = {};
    tile_multiply({reinterpret_cast<const bf16_bits*>(p.x), pairs, nullptr, row_begin, p.rows},
        {reinterpret_cast<const bf16_bits*>(p.w), pairs, nullptr, begin, p.end}, pairs, s, sums);

    auto& constants = reinterpret_cast<ScreenConstants&>(s);
    constants.column[threadIdx.x] = column_constants(p, begin + threadIdx.x);
    constants.row[threadIdx.x] = row_constants(p, row_begin + threadIdx.x);
    __syncthreads();
    uint32_t found[4][2];
    if (p.magnitude) find_survivors<true>(sums, constants, p.rounding, found);
    else find_survivors<false>(sums, constants, p.rounding, found);
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int upper = 0; upper < 2; ++upper) {
            const int row = row_begin + tile_row(m, upper);
            for (uint32_t left = row < p.rows ? found[m][upper] : 0; left; left &= left - 1) {
                const int bit = __ffs(int(left)) - 1, column = begin + tile_column(bit / 2) + bit % 2;
                if (column >= p.end) continue;
                const int position = atomicAdd(p.count + row, 1);
                if (position < p.capacity) p.candidates[int64_t(row) * p.pitch + position] = uint32_t(column);
            }
        }
}
