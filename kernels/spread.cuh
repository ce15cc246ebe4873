// Sums of squares about a mean: over blocks of rows, then over the blocks. Deviations are taken from the first row, and
// from the first block's mean, so that large numbers are not subtracted from each other: of b blocks the sums exceed
// the result by a factor of at most max(64, b), and equal rows give exactly 0. src/CudaSae/Backends/Cpu/Spread.cs does
// the same.
#pragma once
#include "common.cuh"

constexpr int SPREAD_ROWS = 64;     // of a block

// Sum over all rows of the squared deviations of column c from its mean, from the blocks of column_spread in ascending
// order.
__device__ __forceinline__ double spread_of_column(const double* means, const double* spreads, int rows, int lo,
                                                   int c) {
    const double first = means[c];
    double sum = 0, squares = 0, inside = 0;
#pragma unroll 4
    for (int row = 0; row < rows; row += SPREAD_ROWS) {
        const size_t at = size_t(row / SPREAD_ROWS) * lo + c;
        const double count = min(SPREAD_ROWS, rows - row), away = means[at] - first;
        sum += count * away;
        squares += count * away * away;
        inside += spreads[at];
    }
    return inside + fmax(0.0, squares - sum * sum / rows);
}
