// The bound by which screen.cu and sm90/screen_sm90.cu rule out columns.
//
// Let x = a (q + e) and w = c (p + f) as in quantize.cu: a, c are steps, q, p whole numbers, and e, f dither of mean 0
// on intervals of length 1. Then
//   <x, w> = a c <q, p> + sum_i (a w_i e_i + a q_i c f_i).
// The terms are independent over i. By Hoeffding's lemma over f_i and then e_i, with |a q_i| never above |x_i| rounded
// away from zero, the sum S has E exp(l S) <= exp(l^2 (a^2 |w|^2 + c^2 |x~|^2) / 8), where x~ is that rounded row. So
// with probability at least 1 - delta
//   <x, w> <= a c <q, p> + h sqrt(a^2 N^2 + c^2 R^2),   h = sqrt(ln(1 / delta) / 2),
// where N and R are the norms that quantize.cu computes. `margin` is slightly more than h for delta = 1e-9: t = v /
// step and the 16 bits of dither are off by less than 2^-15 of a step, which shifts the sum by at most 2^-15 sqrt(ld)
// (a N + c R). `rounding` (ld + 16) 2^-23 times R N + |b| covers encode's float32 sum (any order, truncated or
// rounded), x / s and w s, and the few operations here. b is b_enc. A column survives unless the bound is at or below
// the floor, the value that a candidate must exceed.
//
// The square root is not taken: sqrt(1 + z) <= (g + (1 + z) / g) / 2 for every g > 0, and g is that of a row and column
// whose largest number is four times their spread. Where the sum of squares is within a factor of two of this one, the
// bound is at most 6 % above the root. A missed column is one that Hoeffding's bound misses: with probability at most
// delta for each of the B k entries of a step's code, so B k delta a step.
#pragma once
#include "select.cuh"

// The inputs of the bound from a column of the encoder. A column that does not exist has zeros.
struct ScreenColumnSource { ScreenRow w; float bias; };
__device__ __forceinline__ ScreenColumnSource screen_column_source(const ScreenParams& p, int column) {
    return {column < p.end ? p.w_row[column] : ScreenRow{0, 0}, column < p.end ? p.b_enc[column] : 0};
}

// c, b, N, c^2 / N.
__device__ __forceinline__ float4 screen_column(const ScreenColumnSource& from) {
    const ScreenRow& w = from.w;
    return make_float4(w.step, from.bias, w.norm, w.norm == 0 ? 0 : w.step * w.step / w.norm);
}

// The inputs of the bound from a row. A row that does not exist has zeros and a limit that nothing exceeds.
struct ScreenRowSource { ScreenRow x; uint32_t limit; };
__device__ __forceinline__ ScreenRowSource screen_row_source(const ScreenParams& p, int row) {
    return {row < p.rows ? p.x_row[row] : ScreenRow{0, 0}, row < p.rows ? p.limit[row] : 0xffffffffu};
}

// a, the factor of N, the factor of c^2 / N, the floor.
__device__ __forceinline__ float4 screen_row(const ScreenParams& p, const ScreenRowSource& from) {
    const ScreenRow& x = from.x;
    const float floor = limit_floor(from.limit);
    if (x.step == 0) return make_float4(0, 0, 0, floor);
    const float typical = 4 / (127 * sqrtf(float(p.ld))), steps = x.norm / x.step;
    const float g = sqrtf(1 + steps * typical * steps * typical);
    return make_float4(x.step, 0.5f * p.margin * x.step * (g + 1 / g) + p.rounding * x.norm,
                       0.5f * p.margin * steps * x.norm / g, floor);
}

// Whether a column with that sum survives. slack: p.rounding times |b|. sign: the bits of the score that count: all, or
// all but the first where the magnitude decides. A column with NaN anywhere survives.
__device__ __forceinline__ bool screen_survives(int sum, const float4& column, float slack, const float4& row,
                                                uint32_t sign) {
    const float score = __uint_as_float(__float_as_uint(fmaf(float(sum) * column.x, row.x, column.y)) & sign);
    const float above = score + fmaf(column.w, row.z, fmaf(column.z, row.y, slack));
    return !(above <= row.w);
}
