// screen: finds by 8-bit products the columns of the encoder that can still be among a row's k largest (the bound:
// screen.cuh). rescore.cu then computes these exactly.
#include "mma_tile.cuh"
#include "screen.cuh"

struct ScreenConstants {
    float4 column[TILE];
    float4 row[TILE];
};
static_assert(sizeof(ScreenConstants) <= sizeof(TileShared));

// Bit n 2 + i of found[m][row_half]: the column of sum [m][n][row_half 2 + i] survives.
template <uint32_t SIGN>
__device__ __forceinline__ void find_survivors(const TileSumsOf<int>& sums, const ScreenConstants& s, float rounding,
                                               uint32_t (&found)[4][2]) {
    float4 row[4][2];
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half)
            row[m][row_half] = s.row[tile_row(m, row_half)], found[m][row_half] = 0;
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const float4 column = s.column[tile_column(n) + i];
            const float slack = rounding * fabsf(column.y);
#pragma unroll
            for (int m = 0; m < 4; ++m)
#pragma unroll
                for (int row_half = 0; row_half < 2; ++row_half)
                    if (screen_survives(sums[m][n][row_half * 2 + i], column, slack, row[m][row_half], SIGN))
                        found[m][row_half] |= 1u << (n * 2 + i);
        }
}

// screen: survivors among columns [begin, end)
//   in      x [B, ld] and w [n, ld] in 8 bits with the steps and norms of their rows, b_enc, limit [B]
//   out     appended to candidates [B, stride], count [B]: column numbers, for rescore.cu
//   launch  grid ceil(B / 128) * ceil((end - begin) / 128), block 128, shared sizeof(TileShared) = 65536
//   needs   ld % 64 == 0, padding of both operands zero, 16-byte aligned rows
//   cost    2 B (end - begin) ld operations on 8-bit tensor cores (twice the rate of bf16), and about 8 instructions a
//           column and row
//   order   survivors of a row come in any order; the set does not depend on it
SAE_KERNEL(screen, ScreenParams, TILE_THREADS) {
    auto& s = shared_memory<TileShared>();
    const TilePosition at = tile_position(blockIdx.x, (p.rows + TILE - 1) / TILE, (p.end - p.begin + TILE - 1) / TILE);
    const int row_begin = at.row * TILE, begin = p.begin + at.column * TILE, pairs = p.ld / 2;
    TileSumsOf<int> sums = {};
    tile_multiply({reinterpret_cast<const bf16_bits*>(p.x), pairs, nullptr, row_begin, p.rows},
        {reinterpret_cast<const bf16_bits*>(p.w), pairs, nullptr, begin, p.end}, pairs, s, sums);

    auto& constants = reinterpret_cast<ScreenConstants&>(s);
    constants.column[threadIdx.x] = screen_column(screen_column_source(p, begin + threadIdx.x));
    constants.row[threadIdx.x] = screen_row(p, screen_row_source(p, row_begin + threadIdx.x));
    __syncthreads();
    uint32_t found[4][2];
    if (p.magnitude) find_survivors<0x7fffffffu>(sums, constants, p.rounding, found);
    else find_survivors<0xffffffffu>(sums, constants, p.rounding, found);
#pragma unroll
    for (int m = 0; m < 4; ++m)
#pragma unroll
        for (int row_half = 0; row_half < 2; ++row_half) {
            const int row = row_begin + tile_row(m, row_half);
            for (uint32_t left = row < p.rows ? found[m][row_half] : 0; left; left &= left - 1) {
                const int bit = __ffs(int(left)) - 1, column = begin + tile_column(bit / 2) + bit % 2;
                if (column >= p.end) continue;
                const int position = atomicAdd(p.count + row, 1);
                if (position < p.capacity) p.candidates[int64_t(row) * p.stride + position] = uint32_t(column);
            }
        }
}
